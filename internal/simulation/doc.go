// Package simulation plays package session against servers, networks and crashes, without
// I/O, goroutines or a real clock, and checks after each schedule what was promised.
//
// A [Schedule] is a setup and a list of steps. It is generated from a seed without a look at
// the state, so each step means the same whatever came before it, and any part of the list is
// a schedule again. That is why a failure can be shrunk to a short script. A step that does
// not apply does nothing. After the steps the network heals, and everything has to end.
//
// Three parts judge independently of each other and of package session, with which they share
// the codec of package wire only:
//
//   - the monitor of a client sees every packet that the engine sends and is given. It knows
//     the rules of the protocol for one connection and one session.
//   - the servers keep sessions of their own, as the specification describes them.
//   - the ledger knows what programs have published and what arrived where.
package simulation
