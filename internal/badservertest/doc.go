// Package badservertest tests what the client makes of servers that break the rules:
//
//	faults     malformed packets and protocol errors: told to the server, which is left
//	tolerance  harmless mistakes, which are logged once and passed over
//	flood      more than the receive maximum, questions without reading the answers
//	refused    messages that have to be refused again and again
//	poison     packets that make the server hang up
//
// The servers are scripted, and speak one fault at a time. What peers cost that mean
// harm is measured in package hostile.
package badservertest
