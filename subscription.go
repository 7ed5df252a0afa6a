package mqtt

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/match"
)

// SubscribeOptions describe a Subscription in full.
type SubscribeOptions struct {
	// Filters are what to subscribe to, at least one. $share/group/filter is a
	// shared subscription. Filters of one Subscription should not overlap: a
	// server may send a message once for each that it matches, as Mosquitto does
	// on 5.0. Between Subscriptions they may.
	Filters []Filter
	// ManualAck leaves the acknowledgement of QoS 1 and 2 messages to
	// Message.Ack. Otherwise a message is acknowledged when it is handed over:
	// by Messages and Next when the consumer has it, by All when the loop body
	// is done with it.
	ManualAck bool

	// BufferMessages and BufferBytes (of payload) bound the QoS 0 messages that
	// wait for a consumer; Overflow says what happens beyond. Zero means 4,096
	// messages and 16 MiB. QoS 1 and 2 messages are bounded by
	// Config.ReceiveMaximum: what is not acknowledged is not sent.
	BufferMessages int
	BufferBytes    int
	Overflow       Overflow

	// UserProperties go with SUBSCRIBE (5.0).
	UserProperties []UserProperty

	// What follows is for Client.Handle only.

	// Lend makes messages valid only until the function returns, with all that they
	// point to: on a busy connection they are not copied and cost no allocation.
	// Message.Clone is for those that are kept. Zero means that messages are the
	// function's own.
	Lend bool
	// Concurrency is how many calls of the function may run at once. Messages with
	// the same key are still handled one after the other, in their order. Zero
	// means one.
	Concurrency int
	// OrderBy returns the key of a message, with Concurrency. Zero means its topic.
	OrderBy func(*Message) string
}

// validateFor refuses, besides what validate refuses, what needs Handle or can
// not go with it.
func (o *SubscribeOptions) validateFor(handle bool) error {
	switch {
	case o.Concurrency < 0:
		return invalid("concurrency", "is negative")
	case o.Concurrency > maxConcurrency:
		return invalid("concurrency", "%d is more than %d", o.Concurrency, maxConcurrency)
	case !handle && (o.Lend || o.Concurrency > 0 || o.OrderBy != nil):
		return invalid("options", "Lend, Concurrency and OrderBy are for Handle")
	case o.Lend && o.ManualAck:
		return invalid("options", "a lent message is gone when the function returns, so it can not be ManualAck")
	}
	return o.validate()
}

// maxConcurrency is far beyond use; it keeps a typing error from starting
// millions of goroutines.
const maxConcurrency = 1 << 16

func (o *SubscribeOptions) validate() error {
	if len(o.Filters) == 0 {
		return invalid("filters", "none given")
	}
	seen := make(map[string]bool, len(o.Filters))
	for _, f := range o.Filters {
		if err := match.ValidateFilter(f.Filter); err != nil {
			return &argumentError{err: err}
		}
		if f.QoS > ExactlyOnce {
			return invalid("QoS", "%d is not 0, 1 or 2", f.QoS)
		}
		if f.RetainHandling > DontSendRetained {
			return invalid("retain handling", "%d is not 0, 1 or 2", f.RetainHandling)
		}
		// [MQTT-3.8.3-4]
		if _, _, shared := match.SplitShared(f.Filter); shared && f.NoLocal {
			return invalid("filter", "%q is shared and can not be NoLocal", f.Filter)
		}
		if seen[f.Filter] {
			return invalid("filter", "%q is given twice", f.Filter)
		}
		seen[f.Filter] = true
	}
	if o.BufferMessages < 0 || o.BufferBytes < 0 {
		return invalid("buffer", "limit is negative")
	}
	if o.Overflow > Block {
		return invalid("overflow", "unknown policy %d", o.Overflow)
	}
	return validateUserProperties(o.UserProperties)
}

// Subscription is a stream of messages. It lives, across reconnects and lost
// sessions, until Unsubscribe, Drain, the end of the client, or until the
// server refuses to renew it.
//
// Receive in one way, by Messages, Next or All; several goroutines may share
// it, and each message goes to one of them. (After a call of Messages one
// message is always on its way to the channel, where Next would not see it.)
type Subscription struct {
	client  *Client
	options SubscribeOptions
	queue   queue
	local   bool   // made by Route: the server knows nothing of it
	handled bool   // made by Handle: what it has not finished is kept
	number  uint64 // in the order of Subscriptions; set by router.add
	claimed int    // messages that had waited for it, the first in queue; likewise
	// transient is guarded by client.router.mu: the filters mean nothing to a later process.
	transient bool

	// Guarded by client.router.mu.
	group    group
	granted  []Ack
	pending  *subscribeCall // not answered yet
	draining bool           // UNSUBSCRIBE is on its way; messages are still welcome
	left     uint64         // number of the newest Subscription when this one was taken out; until then above all

	channel struct {
		once sync.Once
		ch   chan *Message
		done atomic.Pointer[chan struct{}] // closed when the pump has ended; nil: there is none
	}
}

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

// handedOver acknowledges a message that a consumer has.
func (s *Subscription) handedOver(m *Message) {
	if !s.options.ManualAck {
		m.receipt.acknowledgeSoon()
	}
}

// take waits for the next messages, as many as there are and dst has room for.
func (s *Subscription) take(ctx context.Context, dst []item) (n int, err error) {
	for {
		n, err := s.queue.pop(dst)
		if n > 0 || err != nil {
			return n, err
		}
		select {
		case <-s.queue.ready:
			s.queue.woken()
		case <-ctx.Done():
			s.queue.woken()
			return 0, context.Cause(ctx)
		}
	}
}

// Next waits for the next message. After the end of the Subscription it
// returns what Err returns, or ErrUnsubscribed.
func (s *Subscription) Next(ctx context.Context) (*Message, error) {
	var next [1]item
	if _, err := s.take(ctx, next[:]); err != nil {
		return nil, err
	}
	s.handedOver(next[0].Message)
	return next[0].Message, nil
}

// All returns an iterator over the messages. Each is acknowledged after the
// loop body, unless ManualAck is set. The loop ends silently with Unsubscribe
// and Drain; when ctx or the Subscription ends otherwise, the last step yields
// a nil message and the reason.
func (s *Subscription) All(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for {
			var next [1]item
			_, err := s.take(ctx, next[:])
			if errors.Is(err, ErrUnsubscribed) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			goOn := yield(next[0].Message, nil)
			s.handedOver(next[0].Message)
			if !goOn {
				return
			}
		}
	}
}

// Err returns why the Subscription ended: nil while it lives and after
// Unsubscribe and Drain.
func (s *Subscription) Err() error {
	if err := s.queue.err(); !errors.Is(err, ErrUnsubscribed) {
		return err
	}
	return nil
}

// Granted returns the server's answer for each filter, in the order of the
// filters: the granted QoS or why it was refused.
func (s *Subscription) Granted() []ReasonCode {
	s.client.router.mu.Lock()
	defer s.client.router.mu.Unlock()
	var codes []ReasonCode
	for _, ack := range s.granted {
		codes = append(codes, ack.ReasonCode)
	}
	return codes
}

// Answers returns what Granted returns with what else the server said: the reason
// string and the user properties of the SUBACK that has the filter.
func (s *Subscription) Answers() []Ack {
	s.client.router.mu.Lock()
	defer s.client.router.mu.Unlock()
	return slices.Clone(s.granted)
}

// Dropped returns how many QoS 0 messages found no room in the buffer.
func (s *Subscription) Dropped() uint64 { return s.queue.lost() }

// Unsubscribe ends the Subscription at once. Messages that nobody has taken
// are dropped, acknowledged so that they do not come again. It then waits for
// the server's answer, unless another Subscription still needs the filters; an
// error says that the server did not agree or that the answer did not come, so
// that it may go on sending. The request goes on when ctx ends.
func (s *Subscription) Unsubscribe(ctx context.Context) error {
	s.discard(ErrUnsubscribed)
	return s.client.release(ctx, s)
}

// discard ends the queue because of err. What nobody took is acknowledged: it
// must not hold up the acknowledgements of what came later.
func (s *Subscription) discard(err error) {
	dismiss(s.queue.close(err))
}

// refused ends the Subscription because of err, the answer to SUBSCRIBE. The
// router does not have it any more.
func (s *Subscription) refused(err error, first bool) {
	switch {
	case first:
		s.neverBegan(err, false)
	case s.handled:
		s.queue.fail(err) // Handle looks after what is left
	default:
		s.discard(err)
	}
}

// neverBegan takes out a Subscription that nobody has received from. What had
// waited for it goes on waiting for another. The filters that nobody wants any more
// are returned; with resume the server keeps those of a handler.
func (s *Subscription) neverBegan(err error, resume bool) (unused []string) {
	r := &s.client.router
	left := s.queue.close(err)
	claimed := min(s.claimed, len(left))
	r.giveBack(s.number, left[:claimed])
	if s.handled {
		return r.abandon(s, left[claimed:], resume)
	}
	dismiss(left[claimed:])
	return r.remove(s)
}

// Drain unsubscribes and lets the consumers take what the server sends before
// its answer; then the Subscription ends. Drain returns when they have, or with
// ctx, which leaves what is still there to the consumers, or to Unsubscribe to
// drop. What lies in the buffered channel of Messages counts as taken.
func (s *Subscription) Drain(ctx context.Context) error {
	var err error
	if filters, first := s.client.router.drain(s); first {
		if len(filters) > 0 {
			_, err = s.client.unsubscribe(ctx, filters)
		}
		s.client.router.remove(s)
		s.queue.drain()
	}
	over := (<-chan struct{})(s.queue.over)
	if pump := s.channel.done.Load(); pump != nil {
		over = *pump // which may still hold the last message
	}
	select {
	case <-over:
		s.client.router.drained(s)
		if ended := s.Err(); err == nil && ended != nil {
			err = &requestError{"drain", s.options.Filters[0].Filter, true, ended}
		}
		return err
	case <-ctx.Done():
		return errors.Join(err, &requestError{"drain", s.options.Filters[0].Filter, true, context.Cause(ctx)})
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
