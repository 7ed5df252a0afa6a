package broker

import "sync/atomic"

// statsCounters are the counters that [Stats] are read from.
type statsCounters struct {
	received, sent, dropped, expired, denied, refused atomic.Uint64
	bytesReceived, bytesSent                          atomic.Uint64
	commits, commitErrors                             atomic.Uint64
	lingering                                         atomic.Int32 // refused connections that are open until the peer has read why
}
