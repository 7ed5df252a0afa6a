// Package mosquittotest tests the client against Mosquitto. Each test starts a server
// for itself on a free port (package mosquitto). The tests cover every version, every
// QoS, sessions, wills, shared subscriptions and TLS, and messages while the server is
// killed, falls silent, or is behind a line that is cut.
//
// Where Mosquitto is not installed the tests are skipped; with MQTT_REQUIRE_SERVERS=1
// they fail instead. When a test is over, no goroutine of the library may be left.
package mosquittotest
