// Package cluster has tests of the client with a cluster: three NATS servers with
// JetStream and MQTT, each a process of its own that can be killed, on routes that can be
// cut. docs/scaling.md says what they show.
//
// The long form repeats the failures and prints its figures:
//
//	go -C interop/brokers test -count=1 -v -timeout 1h ./cluster -run Failover -cluster.rounds 10
package cluster
