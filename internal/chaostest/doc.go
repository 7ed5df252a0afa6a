// Package chaostest tests the client on networks that break in every way that we know:
// connections cut at any byte, in the handshake of TLS and in the upgrade to a WebSocket
// too, silence in one direction or both, latency, jitter, a few kilobytes a second,
// resets, peers that read slowly or not at all, and names that DNS does not know, does
// not answer for, or has another address for than before. Network namespaces break what a
// proxy cannot: links, routes, addresses.
//
// The servers are our broker and Mosquitto, the versions 5.0 and 3.1.1. Every test
// requires the same: what was acknowledged has arrived, QoS 2 exactly once, in the order
// in which it was published; calls return when their contexts end, Close within its
// bound; silence is noticed within one and a half keep-alives; and in the end nothing is
// left, no goroutine and no connection.
//
// A test that draws at random logs its seed. Run it again with -seed.
package chaostest
