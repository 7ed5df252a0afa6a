package bench

import (
	"slices"
	"sync"
)

// stream is one sequence of messages: of one publisher, on one topic.
type stream struct {
	id    uint32
	topic int
	name  string // of the topic
	sent  uint64 // numbers used so far; belongs to the publisher until it has ended

	mu     sync.Mutex
	failed []uint64 // guarded by mu: numbers of messages that the server may not have
}

func (s *stream) fail(sequence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = append(s.failed, sequence)
}

// settled returns what is in failed in ascending order, when the publisher has ended.
func (s *stream) settled() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.failed)
	return s.failed
}

// accepted is how many messages the server has, as far as the publisher knows.
func (s *stream) accepted() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent - uint64(len(s.failed))
}
