package mqtttest_test

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
)

// exampleT is what an example has in place of the t of a test. What a test would report
// goes to the output of the example.
type exampleT struct {
	testing.TB
	mu      sync.Mutex
	cleanup []func()
}

// newT returns an exampleT. end is what go test does at the end of a test.
func newT() (t *exampleT, end func()) {
	t = new(exampleT)
	return t, func() {
		for _, f := range slices.Backward(t.cleanup) {
			f()
		}
	}
}

func (t *exampleT) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanup = append(t.cleanup, f)
}

func (t *exampleT) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

func (t *exampleT) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (t *exampleT) Log(args ...any)                   { fmt.Println(args...) }
func (t *exampleT) Output() io.Writer                 { return io.Discard }
func (t *exampleT) Failed() bool                      { return false }
func (t *exampleT) Helper()                           {}
