package main

// sample is one client in one scenario in one round: the line of JSON that a
// client process prints.
type sample struct {
	Scenario string  `json:"scenario"`
	Client   string  `json:"client"`
	Round    int     `json:"round"`
	Version  string  `json:"version,omitempty"` // of a client that is not a Go module
	Messages uint64  `json:"messages,omitempty"`
	Seconds  float64 `json:"seconds,omitempty"`
	CPU      float64 `json:"cpu_seconds,omitempty"` // user and system
	Mallocs  uint64  `json:"mallocs,omitempty"`
	Bytes    uint64  `json:"bytes,omitempty"` // allocated
	Reads    uint64  `json:"reads,omitempty"` // system calls
	Writes   uint64  `json:"writes,omitempty"`

	Written   int64   `json:"written,omitempty"`   // bytes for the disk
	Cancelled int64   `json:"cancelled,omitempty"` // of them, deleted before they got there
	Kept      int64   `json:"kept,omitempty"`      // bytes in files at the end
	Commits   uint64  `json:"commits,omitempty"`   // of a Store
	Syncs     uint64  `json:"syncs,omitempty"`     // fsyncs and fdatasyncs
	Synced    float64 `json:"synced,omitempty"`    // seconds that commits and fsyncs took together
	Slowest   float64 `json:"slowest,omitempty"`   // of them, in milliseconds

	// Total is what the process published, with warm-up and barriers. Lost is
	// how many of these the sink has not seen, or, for a receiver, how often the
	// number of a message was not the one after the last.
	Total    uint64 `json:"total,omitempty"`
	Lost     int64  `json:"lost,omitempty"`
	Disorder uint64 `json:"disorder,omitempty"` // acknowledgements out of order

	Latency  *latency  `json:"latency,omitempty"`
	Load     *load     `json:"load,omitempty"`
	Idle     *idle     `json:"idle,omitempty"`
	Comeback *comeback `json:"comeback,omitempty"`
	Start    *start    `json:"start,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// latency is in microseconds.
type latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
}

// idle is per client.
type idle struct {
	Heap       float64 `json:"heap"` // bytes
	Stack      float64 `json:"stack"`
	Goroutines float64 `json:"goroutines"`
}

// rate is in messages per second.
func (s *sample) rate() float64 {
	if s.Seconds == 0 {
		return 0
	}
	return float64(s.Messages) / s.Seconds
}

// score is what is compared; larger is better. A scenario is about the rate,
// the latency, the footprint, the return of the server or the start of the client.
func (s *sample) score() float64 {
	switch {
	case s.Error != "":
		return 0
	case s.Idle != nil:
		return 1 / (s.Idle.Heap + s.Idle.Stack)
	case s.Start != nil:
		return 1 / (s.Start.Open + s.Start.Start)
	case s.Comeback != nil:
		return 1 / s.Comeback.Subscribe
	case s.Latency != nil:
		return 1 / s.Latency.P50
	}
	return s.rate()
}

// per returns n per message.
func (s *sample) per(n float64) float64 {
	if s.Messages == 0 {
		return 0
	}
	return n / float64(s.Messages)
}
