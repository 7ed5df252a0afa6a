// Package killtest has tests that kill a program and its server with SIGKILL, again and
// again, at random moments, while the program publishes and receives with a
// [github.com/seed65a45251/mqtt/store/bolt] behind Config.Store.
//
// The program is this test's own binary. Before it publishes a message, it writes to a
// log that it is about to, and afterwards that the message was accepted. It also logs
// each message that it gets, before it acknowledges the message. A write to a file is
// complete or has not begun when the process is killed, so the log leaves no doubt. From
// the log the test then checks that nothing accepted was lost, that nothing came twice at
// QoS 2, that each topic kept its order, and that neither store has anything left.
//
// MQTT_KILLS is the number of kills of each test. MQTT_KILL_SEED repeats the
// choices of a run, which prints its seed; what the kills hit is up to the scheduler.
package killtest
