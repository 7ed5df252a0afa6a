package mqtt

import (
	"slices"
	"sync"
)

// Messages returns the channel on which messages arrive. It is closed when the
// Subscription ends; Err then says why. Messages that were not taken by then
// are gone, unless it ends by Drain.
//
// Where all filters are AtMostOnce the channel is buffered and may hold up to 32
// messages beyond the limits of the Subscription. Otherwise it is not, because a
// message is acknowledged when the consumer has it.
func (s *Subscription) Messages() <-chan *Message {
	s.channel.once.Do(func() {
		s.channel.ch = make(chan *Message, s.ahead())
		done := make(chan struct{})
		s.channel.done.Store(&done)
		if !s.client.pumps.start(s.pump) {
			close(done)
			close(s.channel.ch)
		}
	})
	return s.channel.ch
}

// ahead is how many messages the channel of Messages may hold.
func (s *Subscription) ahead() int {
	acknowledged := func(f Filter) bool { return f.QoS > AtMostOnce }
	if s.local || slices.ContainsFunc(s.options.Filters, acknowledged) {
		return 0
	}
	return min(32, s.queue.maxMessages/64, s.queue.maxBytes/(64<<10))
}

// pump feeds the channel. Only it sends and closes.
func (s *Subscription) pump() {
	ch := s.channel.ch
	defer close(*s.channel.done.Load())
	defer close(ch)
	var next [1]item
	for {
		n, err := s.queue.pop(next[:])
		if err != nil {
			s.empty(ch)
			return
		}
		if n == 0 {
			<-s.queue.ready
			s.queue.woken()
			continue
		}
		// The message is the consumer's alone from the moment it has it.
		m := next[0].Message
		r := m.receipt
		if !s.options.ManualAck {
			m.receipt = receipt{}
		}
		select {
		case ch <- m:
		default:
			select {
			case ch <- m:
			case <-s.queue.cut:
				r.acknowledge() // dropped like those in the queue
				s.empty(ch)
				return
			}
		}
		if !s.options.ManualAck {
			r.acknowledgeSoon()
		}
	}
}

// empty takes back what nobody has taken from the channel if it is to be dropped.
func (s *Subscription) empty(ch chan *Message) {
	select {
	case <-s.queue.cut:
	default:
		return
	}
	for range len(ch) {
		select {
		case m := <-ch:
			m.Ack() // with ManualAck nobody else can
		default:
			return
		}
	}
}

// pumps are the goroutines behind the channels of Messages.
type pumps struct {
	mu     sync.Mutex
	wg     sync.WaitGroup
	closed bool
}

// start runs f unless the client has ended.
func (p *pumps) start(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.wg.Go(f)
	return true
}

func (p *pumps) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

func (p *pumps) wait() { p.wg.Wait() }
