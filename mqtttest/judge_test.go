package mqtttest_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// judge is a test that may fail without failing the test that looks at it.
type judge struct {
	testing.TB
	mu     sync.Mutex
	text   strings.Builder
	failed bool
	clean  []func()
}

func (j *judge) Errorf(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed = true
	fmt.Fprintf(&j.text, format+"\n", args...)
}

func (j *judge) Fatalf(format string, args ...any) {
	j.Errorf(format, args...)
	runtime.Goexit()
}

func (j *judge) Log(args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintln(&j.text, args...)
}

func (j *judge) Failed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

func (j *judge) said() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// Cleanup keeps f for end, and has end called by the test.
func (j *judge) Cleanup(f func()) {
	if j.clean == nil {
		j.TB.Cleanup(j.end)
	}
	j.clean = append(j.clean, f)
}

// end runs what was to be cleaned up.
func (j *judge) end() {
	for len(j.clean) > 0 {
		last := len(j.clean) - 1
		f := j.clean[last]
		j.clean = j.clean[:last]
		f()
	}
}

// sentence runs f, which is expected to end the test of j, and returns what it
// said.
func (j *judge) sentence(f func()) string {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
	return j.said()
}
