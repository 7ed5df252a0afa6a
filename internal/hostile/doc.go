// Package hostile has peers that attack: clients that send a broker the packets that
// cost it most, and a server that does the same to a client. Its tests hold the list of
// attacks. Each attack runs against a process of its own, whose memory is limited and
// measured, while an honest client works beside it:
//
//	go test ./internal/hostile
//	go test ./internal/hostile -hostile.long -timeout 6h -v
//
// The first command has small limits and asserts counts and bytes, never times. The
// second uses the default limits, and prints a table with times for docs/hostile.md.
package hostile
