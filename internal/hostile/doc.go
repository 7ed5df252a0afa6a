// Package hostile has peers that attack: clients that send a broker what costs it most,
// and a server that does so to a client. Its tests hold the list of attacks. Each runs
// against a process of its own, whose memory is limited and measured, while an honest
// client works beside it:
//
//	go test ./internal/hostile
//	go test ./internal/hostile -hostile.long -timeout 6h -v
//
// The first has small limits and asserts counts and bytes, never times. The second
// has the limits that are the defaults, and prints a table with times for
// docs/hostile.md.
package hostile
