package bench

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt"
)

// publisher sends the messages of its streams in turn, from one goroutine.
type publisher struct {
	*load
	index   int
	client  *mqtt.Client
	own     []*stream
	pending chan sent     // what waits for its acknowledgement, in the order of sending
	window  chan struct{} // of a closed loop: a token for each of them; nil: no limit

	count    int           // measured messages; this and the next three belong to the goroutine that sends
	tried    uint64        // messages of any kind
	buffer   []byte        // of QoS 0, whose payload is free after the call
	free     time.Duration // when the last call that publishes returned
	blocking time.Duration // the sum of those calls after the warm-up

	// What follows is read while the load runs.
	published   atomic.Uint64 // handed to the client without an error
	answered    atomic.Uint64 // acknowledged
	failed      atomic.Uint64 // refused, or given up
	unanswered  atomic.Uint64 // not acknowledged at the end
	unmatched   atomic.Uint64 // acknowledged with No matching subscribers
	measured    atomic.Uint64 // of published, after the warm-up
	withdrawn   atomic.Uint64 // due, and not sent before the end
	lastPublish atomic.Int64  // when the last of them was published
}

// sent is a message that waits for its acknowledgement.
type sent struct {
	delivery *mqtt.Delivery
	stream   *stream
	sequence uint64
	due      time.Duration
	measured bool
}

// waiting is how many messages of a publisher may wait in its client.
func (s *Settings) waiting() int { return min(10_000, max(100, 200_000/s.Publishers)) }

func (l *load) newPublisher(index int, client *mqtt.Client) *publisher {
	p := &publisher{load: l, index: index, client: client, buffer: make([]byte, l.Size)}
	for k := index; k < len(l.streams); k += l.Publishers {
		p.own = append(p.own, l.streams[k])
	}
	if l.QoS > mqtt.AtMostOnce {
		// All that the client takes fits, so that the channel itself holds up nothing.
		p.pending = make(chan sent, l.waiting()+max(inflight, l.inflight))
		if l.Rate == 0 {
			p.window = make(chan struct{}, l.Window)
		}
	}
	return p
}

// publish sends until the load ends, and ctx at the latest.
func (p *publisher) publish(ctx context.Context) error {
	if p.pending != nil {
		defer close(p.pending)
	}
	if p.Rate == 0 {
		p.closed(ctx)
		return nil
	}
	clock, err := newClock()
	if err != nil {
		return err
	}
	defer clock.close()
	p.open(ctx, clock)
	return nil
}

// open sends each message when it is due, or, if it is late, as soon as possible. It goes
// on after the end until all that were due are sent.
func (p *publisher) open(ctx context.Context, clock *clock) {
	times := newSchedule(p.Rate, p.index, p.Publishers)
	for n := 0; ; n++ {
		due := times.at(n)
		if p.done(due) || !clock.until(ctx, p.start, due) {
			return
		}
		now := p.now()
		if p.measures(due) {
			p.behind.record(p.index, now-due)
			p.generator.record(p.index, now-max(due, p.free))
		}
		if !p.send(ctx, p.own[n%len(p.own)], due, now) {
			return
		}
	}
}

// closed sends whenever the window is open.
func (p *publisher) closed(ctx context.Context) {
	for n := 0; ; n++ {
		if p.window != nil {
			select {
			case p.window <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
		due := p.now()
		if ctx.Err() != nil || p.done(due) {
			return
		}
		if !p.send(ctx, p.own[n%len(p.own)], due, due) {
			return
		}
	}
}

// done reports whether a message that is due then is beyond the end.
func (p *publisher) done(due time.Duration) bool {
	if end := p.end(); end > 0 && due >= end {
		return true
	}
	return p.Count > 0 && p.count >= p.share(p.index)
}

// send publishes the next message of a stream at the time now. It returns false when no
// further message can be sent.
func (p *publisher) send(ctx context.Context, s *stream, due, now time.Duration) bool {
	m := &mqtt.Message{Topic: s.name, QoS: p.QoS, Retain: p.Retain, Payload: p.buffer}
	if p.pending != nil {
		m.Payload = make([]byte, p.Size)
	}
	mark := stamp{p.number, s.id, s.sent, due, p.measures(due)}
	mark.put(m.Payload)
	s.sent++
	p.tried++
	if mark.measured {
		p.count++
	}

	var delivery *mqtt.Delivery
	var err error
	if p.pending == nil {
		err = p.client.PublishMessage(ctx, m)
	} else {
		delivery, err = p.client.PublishAsync(ctx, m)
	}
	p.free = p.now()
	if mark.measured {
		p.blocking += p.free - now
	}
	if err != nil {
		s.fail(mark.sequence)
		if p.window != nil {
			<-p.window
		}
		if ctx.Err() != nil {
			p.withdrawn.Add(1)
			return false
		}
		p.failed.Add(1)
		p.failures.add("publish", err)
		// What the client refuses by itself it refuses the next time, too.
		return !mqtt.NotSent(err)
	}
	p.published.Add(1)
	if mark.measured {
		p.measured.Add(1)
		p.lastPublish.Store(int64(p.free))
	}
	if p.pending != nil {
		p.pending <- sent{delivery, s, mark.sequence, due, mark.measured}
	}
	return true
}

// await takes the acknowledgements until the last has come, and until ctx ends at the
// latest.
func (p *publisher) await(ctx context.Context) {
	for m := range p.pending {
		ack, err := m.delivery.Wait(ctx)
		now := p.now()
		if p.window != nil {
			<-p.window
		}
		if err != nil {
			m.stream.fail(m.sequence)
			if ctx.Err() != nil {
				p.unanswered.Add(1)
				continue
			}
			p.failed.Add(1)
			p.failures.add("publish", err)
			continue
		}
		p.answered.Add(1)
		if ack.ReasonCode == noMatch {
			p.unmatched.Add(1)
		}
		if m.measured {
			p.acknowledged.record(p.index, now-m.due)
		}
	}
}
