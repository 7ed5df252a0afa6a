// Package durable keeps the session of a client in a store.Store, so that a later process
// continues it: the messages that are to be sent, in their order; how far the exchange
// of each is; the packet identifiers in use; which received QoS 2 messages are
// acknowledged; and what is known of the sessions of servers.
//
// It does no I/O of its own accord and has no goroutine. Its owner guards a [Journal]
// with the lock of the engine, and calls [Batch.Commit] and [Block.Read] without it.
//
// Two rules hold everything together.
//
//   - A message is submitted to the engine when its record is committed. Until then it
//     can be refused, and the caller knows that it was not sent.
//   - No byte goes to the server before everything is committed that the engine told the
//     Journal before the byte was taken: see [Journal.Position].
//
// # Records
//
// Keys begin with C; numbers are big endian, so that their order is that of the bytes.
//
//	Ch               the header: client identifier, identity, sessions of servers
//	Cm number        a message to be sent, with its topic in full
//	Ce number        its exchange: packet identifier, state; or that it was sent before
//	Cx identifier    an identifier in use by a message that is not recorded
//	Cr session id    a received QoS 2 message, or the number of the next
//	Cs hash          a filter that is wanted, if filters are recorded
//	Ca n             spare space, given up when the Store is full
//	Cz key           a record that could not be read, as it was
//
// A value begins with the version of its layout and a checksum of it and of the rest.
package durable
