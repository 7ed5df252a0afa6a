package broker

import "sync/atomic"

// statsCounters are what [Stats] are made of.
type statsCounters struct {
	received, sent, dropped, expired, denied, refused atomic.Uint64
	bytesReceived, bytesSent                          atomic.Uint64
	commits, commitErrors                             atomic.Uint64
	lingering                                         atomic.Int32 // refused connections that are still open
}
