package bench

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/seed65a45251/mqtt"
)

// receiver is who should get each message once: a subscriber, or a group that shares a
// filter.
type receiver struct {
	index int
	mu    sync.Mutex
	// tracks has one for each stream of which something came. Guarded by mu.
	tracks []*track

	distinct   atomic.Uint64 // messages, each counted once
	duplicates atomic.Uint64
}

func (l *load) newReceiver(index int) *receiver {
	return &receiver{index: index, tracks: make([]*track, len(l.streams))}
}

func (r *receiver) take(stream uint32, sequence uint64) verdict {
	r.mu.Lock()
	t := r.tracks[stream]
	if t == nil {
		t = new(track)
		r.tracks[stream] = t
	}
	v := t.take(sequence)
	r.mu.Unlock()
	if v == duplicate {
		r.duplicates.Add(1)
	} else {
		r.distinct.Add(1)
	}
	return v
}

// lost counts what the receiver should have got and has not.
func (r *receiver) lost(l *load) (n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, s := range l.streams {
		if !l.wants(r.index, s.topic) {
			continue
		}
		t := r.tracks[i]
		if t == nil {
			t = new(track)
		}
		n += t.lost(s.sent, s.settled())
	}
	return n
}

// subscriber takes messages in one goroutine.
type subscriber struct {
	*load
	index    int
	client   *mqtt.Client
	receiver *receiver
	sub      *mqtt.Subscription
	highest  map[uint32]uint64 // of each stream, in a group: one more than the highest number that came here

	received    atomic.Uint64 // all copies
	measured    atomic.Uint64 // of them, those that were due after the warm-up
	disordered  atomic.Uint64 // came after a later message of their stream
	foreign     atomic.Uint64 // messages that are not of this run
	lastReceive atomic.Int64  // when the last measured message came
}

// subscribe returns when the server has granted the filters.
func (s *subscriber) subscribe(ctx context.Context) (err error) {
	if s.Spread == SpreadShared {
		s.highest = make(map[uint32]uint64)
	}
	s.sub, err = s.client.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters: s.filters(s.run, s.index),
		Lend:    true,
		// The generator must lose nothing by itself: the server feels a slow subscriber.
		Overflow: mqtt.Block,
	})
	return err
}

// receive takes messages until ctx ends or the subscription does.
func (s *subscriber) receive(ctx context.Context) error {
	err := s.sub.Handle(ctx, func(_ context.Context, m *mqtt.Message) error {
		s.take(m.Payload)
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *subscriber) take(payload []byte) {
	now := s.now()
	mark, ok := readStamp(payload)
	if !ok || mark.run != s.number || int(mark.stream) >= len(s.streams) {
		s.foreign.Add(1)
		return
	}
	v := s.receiver.take(mark.stream, mark.sequence)
	s.received.Add(1)
	if v != duplicate && s.overtaken(mark, v) {
		s.disordered.Add(1)
	}
	if !mark.measured {
		return
	}
	s.measured.Add(1)
	s.lastReceive.Store(int64(now))
	if v != duplicate {
		s.latency.record(s.index, now-mark.due)
	}
}

// overtaken reports whether a later message of the stream came here before. In a group
// what came to other members does not count.
func (s *subscriber) overtaken(mark stamp, v verdict) bool {
	if s.highest == nil {
		return v == late
	}
	if mark.sequence < s.highest[mark.stream] {
		return true
	}
	s.highest[mark.stream] = mark.sequence + 1
	return false
}
