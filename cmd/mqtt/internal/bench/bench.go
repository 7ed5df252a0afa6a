// Package bench puts a load on a server and measures what becomes of it: rates,
// latencies from publisher to subscriber, lost, repeated and disordered messages.
//
// With a rate the load is an open loop. Each message has a time at which it is due, fixed
// before the run, and every latency counts from there. A server that stands still for a
// second is then charged with all messages that were due in that second, and not only
// with the one that happened to be under way (coordinated omission). Without a rate the
// load is a closed loop: each publisher sends as soon as fewer than a window of its
// messages wait for their acknowledgement, and a latency counts from the call.
//
// Publishers and subscribers are in one process, so that one monotonic clock serves both
// ends.
package bench
