package bench

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// load is what publishers and subscribers of a run share. What has no lock is written
// before they begin.
type load struct {
	Settings
	run    string // a level of all topics, and the beginning of all client identifiers
	number uint32 // of the run, in every stamp
	start  time.Time

	inflight int // that the clients are configured with; zero: the library's own
	streams  []*stream

	latency      *recorder // due to received
	acknowledged *recorder // due to acknowledged
	behind       *recorder // due to the call that publishes
	generator    *recorder // of behind, what no earlier call explains

	failures failures
}

// now is the time since the start.
func (l *load) now() time.Duration { return time.Since(l.start) }

// measures reports whether a message that is due then is beyond the warm-up.
func (l *load) measures(due time.Duration) bool { return due >= l.Warmup }

// share divides Count among the publishers.
func (l *load) share(publisher int) int {
	n := l.Count / l.Publishers
	if publisher < l.Count%l.Publishers {
		n++
	}
	return n
}

// maxFailures bounds the different texts of errors that are kept.
const maxFailures = 20

// failures counts errors by their text.
type failures struct {
	mu     sync.Mutex
	counts map[string]uint64 // guarded by mu
}

func (f *failures) add(what string, err error) {
	text := fmt.Sprintf("%s: %v", what, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = make(map[string]uint64)
	}
	if _, known := f.counts[text]; !known && len(f.counts) >= maxFailures {
		text = "others"
	}
	f.counts[text]++
}

func (f *failures) all() map[string]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.counts)
}

// noMatch is the acknowledgement of a message that no subscriber wanted.
const noMatch = wire.NoMatchingSubscribers
