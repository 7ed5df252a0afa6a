// Package servers starts MQTT brokers for tests: Mosquitto, RabbitMQ, NATS, mochi, aedes,
// and the broker of this repository. Each runs in a process of its own on loopback, with
// its files in the directory of the test, so that it can be killed and started again.
//
// NATS, mochi and ours are linked into the test binary, which runs itself again to be one
// of them. A package that uses servers therefore needs
//
//	func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }
package servers
