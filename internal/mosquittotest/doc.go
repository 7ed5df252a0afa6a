// Package mosquittotest tests the client against Mosquitto, which each test starts for
// itself on a free port (package mosquitto): every version, every QoS, sessions, wills,
// shared subscriptions, TLS, and what becomes of messages when the server is killed,
// falls silent, or is behind a line that is cut.
//
// Where Mosquitto is not installed the tests are skipped; with MQTT_REQUIRE_SERVERS=1
// they fail instead. When a test is over, no goroutine of the library may be left.
package mosquittotest
