// Package session is the MQTT protocol without I/O: what to send, what to
// deliver, when to wake up.
//
// The package has no goroutine, channel, lock, timer, logger or socket and
// never asks for the time: packets, requests and the time are arguments; bytes
// to send, messages, finished requests and the next deadline are results. So every
// rule can be tested as a script, and a program can speak MQTT over any byte stream.
//
// Two kinds of state are kept apart, as the specification does. The session
// state outlives connections: [Sender] holds the messages that the peer has
// not acknowledged, [Receiver] the identifiers of received messages whose
// exchange is not finished. The connection state ends with its connection:
// negotiated limits, send quota, topic aliases, keep-alive, pending SUBSCRIBE
// and UNSUBSCRIBE requests. Delivery is symmetric in MQTT, so client and
// server use the same halves; [Client] adds what only a client does, [Server]
// what only a server does.
//
// Nothing here is safe for concurrent use: the caller guards an engine with
// one lock and never does I/O while holding it.
package session
