// Package stresstest tests that nothing is lost, doubled or reordered under load:
// bursts, large payloads, many publishers and consumers, slow lines, and connections
// that break all the time. The server is one in memory or the broker; Mosquitto under
// load is in package mosquittotest.
package stresstest
