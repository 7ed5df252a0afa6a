// Package probe finds out what a server of MQTT offers, and whether it keeps its word.
//
// It speaks MQTT packet by packet, because a client library would hide what is to be
// seen: how many copies of a message come, with which identifiers, and when the server
// hangs up. All topics of a run have a prefix that no other run has. What a run leaves on
// the server (retained messages, sessions) it removes at its end, also when it is
// interrupted.
package probe
