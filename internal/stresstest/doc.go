// Package stresstest tests that no message is lost, doubled or reordered under load:
// bursts, large payloads, many publishers and consumers, slow lines, and connections
// that break all the time. The server is one in memory or the broker. Package
// mosquittotest tests Mosquitto under load, and package chaostest has the networks.
package stresstest
