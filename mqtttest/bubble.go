package mqtttest

import (
	"bytes"
	"context"
	"runtime"
	"runtime/pprof"
)

// inBubble reports whether the caller runs in a testing/synctest bubble. Only the
// head of a stack trace tells that without waiting for the bubble.
func inBubble() bool {
	head := make([]byte, 128)
	head = head[:runtime.Stack(head, false)]
	first, _, _ := bytes.Cut(head, []byte("\n"))
	return bytes.Contains(first, []byte("synctest bubble"))
}

// unmarked runs f without the label that goroutines inherit from the test's
// goroutine.
func unmarked(f func()) {
	pprof.SetGoroutineLabels(context.Background())
	f()
}
