// Package clienttest tests the client in conversation with a scripted server, one
// behaviour in each file: queues that fill, handlers that fail or are ended, filters
// that are shared, consumers that stop, connections that fall silent. The basic
// behaviour of each verb is tested beside its file in the root, in publish_test.go,
// subscribe_test.go and so on. The names of the files here begin with the same words:
//
//	conn_       the connection: keep-alive, its close, the log of packets
//	connect_    the way to a server: which one, as what, by which URL, proxy and WebSocket
//	disconnect_ what is still done before DISCONNECT
//	handle_     Client.Handle
//	hooks_      what hooks see and hear
//	once_       PublishOnce, ReceiveOnce
//	panic_      panics of the caller's functions
//	publish_    a full queue of publishes, and the calls that wait for it
//	receive_    messages that nobody takes: bounds, stalls, unclaimed ones
//	reconnect_  Client.Reconnect, and a session that was lost
//	subscribe_  filters: their options, prefixes and identifiers, shared by Subscriptions
//	subscription_ the ways to receive from one: Handle, Stream, lanes, its own connection
//
// The words of the conversations come from package conversation.
package clienttest
