// Package badservertest tests how the client handles servers that break the rules:
//
//	faults     malformed packets and protocol errors: the client tells the server and disconnects
//	tolerance  harmless mistakes, which are logged once and passed over
//	flood      more than the receive maximum, questions without reading the answers
//	refused    messages that have to be refused again and again
//	poison     packets that make the server hang up
//
// The servers are scripted, and make one fault at a time. Package hostile measures
// the cost of peers that attack.
package badservertest
