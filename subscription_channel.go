package mqtt

import (
	"context"
	"slices"
)

// Stream returns a channel on which messages arrive until ctx or the Subscription ends.
// Their end closes the channel. The end of ctx leaves the Subscription alive, and later
// messages wait for the next consumer. After the loop ctx.Err says whether ctx has
// ended, and Err why the Subscription has: nil while it lives and after Unsubscribe and
// Drain. If ctx is nil, it never ends.
//
// The channel has no buffer. A message is handed over when it is received from the
// channel, and is acknowledged then unless ManualAck is set. A message that was not
// received when ctx ends goes to the next consumer, before all later messages: to
// another Stream, Next, All, Handle or Messages. (A consumer that receives while ctx
// ends may still get a message. It is then the only one that has it.)
//
// Each call has a channel and a goroutine of its own. The goroutine ends with ctx, the
// Subscription or the client, also if the program does not receive. Until then it holds
// one message ready. So end ctx after leaving a loop early, and prefer several
// goroutines on one channel to several Streams: they share messages better.
func (s *Subscription) Stream(ctx context.Context) <-chan *Message {
	if ctx == nil {
		ctx = context.Background()
	}
	return s.stream(ctx, OperationStream, 0)
}

// Messages is Stream without a context. Every call returns the same channel, which is
// closed when the Subscription ends; Err then says why. Messages that were not taken by
// then are dropped, unless the Subscription ends by Drain.
//
// Where all filters are AtMostOnce the channel is buffered, which is faster, and may
// hold up to 32 messages beyond the limits of the Subscription. Above AtMostOnce
// Messages and Stream cost the same.
func (s *Subscription) Messages() <-chan *Message {
	s.channel.once.Do(func() { s.channel.ch = s.stream(context.Background(), OperationMessages, s.ahead()) })
	return s.channel.ch
}

// ahead is how many messages the channel of Messages may hold.
func (s *Subscription) ahead() int {
	acknowledged := func(f Filter) bool { return f.QoS > AtMostOnce }
	if s.kind == kindLocal || slices.ContainsFunc(s.options.Filters, acknowledged) {
		return 0
	}
	return min(32, s.queue.maxMessages/64, s.queue.maxBytes/(64<<10))
}

// stream starts a feeder for o, for a channel with so much buffer. If there is any, what
// lies in the channel when ctx ends is lost.
func (s *Subscription) stream(ctx context.Context, o Operation, buffer int) <-chan *Message {
	f := &feeder{sub: s, operation: o, ch: make(chan *Message, buffer)}
	f.consumer.ended, f.consumer.feeds = ctx.Done(), true
	if ctx.Err() != nil {
		close(f.ch)
		return f.ch
	}
	s.queue.addConsumer(&f.consumer) // before it runs, so that Disconnect knows of it
	if !s.inbox.workers.start(func() { f.run(ctx) }) {
		s.giveBack(&f.consumer)
		close(f.ch)
	}
	return f.ch
}

// feeder feeds a channel. Only it sends and closes.
type feeder struct {
	sub       *Subscription
	operation Operation
	ch        chan *Message
	consumer  consumer
}

func (f *feeder) run(ctx context.Context) {
	s := f.sub
	defer close(f.ch)
	var next [1]item
	var back []item
	for handedOver := 0; ; handedOver = 1 {
		if _, err := s.pop(ctx, &f.consumer, handedOver, next[:], false); err != nil {
			break
		}
		if !f.send(ctx, next[0].owned()) {
			back = next[:]
			break
		}
	}
	f.takeBack() // before Disconnect hears that nobody is there
	s.giveBack(&f.consumer, back...)
}

// send hands m over, unless ctx or the Subscription ends first.
func (f *feeder) send(ctx context.Context, m *Message) bool {
	a := m.acknowledger // the message is the consumer's alone from the moment it has it
	if f.sub.inbox.consuming != nil {
		if !f.offerHooked(ctx, m) {
			return false
		}
	} else if !f.offer(ctx, m) {
		return false
	}
	if !f.sub.options.ManualAck {
		a.acknowledge(Success)
	}
	return true
}

// offerHooked is offer with the hooks around it.
func (f *feeder) offerHooked(ctx context.Context, m *Message) bool {
	_, done := f.sub.consume(ctx, f.operation, m)
	if f.offer(ctx, m) {
		done(nil)
		return true
	}
	err := f.sub.queue.err()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	done(err)
	return false
}

func (f *feeder) offer(ctx context.Context, m *Message) bool {
	select {
	case <-ctx.Done(): // also when the consumer is always there
		return false
	default:
	}
	select {
	case f.ch <- m:
		return true
	default:
	}
	select {
	case f.ch <- m:
		return true
	case <-ctx.Done():
	case <-f.sub.queue.cut:
	}
	return false
}

// takeBack takes back what nobody has taken from a channel with a buffer if it is to be
// dropped.
func (f *feeder) takeBack() {
	select {
	case <-f.sub.queue.cut:
	default:
		return
	}
	for range len(f.ch) {
		select {
		case m := <-f.ch:
			if !f.sub.inbox.router.isClosed() {
				m.acknowledger.acknowledge(Success) // with ManualAck nobody else can
			}
		default:
			return
		}
	}
}

// giveBack ends a consumer, whose unfinished messages go to the next. If there
// will be none they are dropped, acknowledged like those in the queue; with the
// end of the client they stay unacknowledged.
func (s *Subscription) giveBack(c *consumer, unfinished ...item) {
	left := s.queue.removeConsumer(c, unfinished...)
	if len(left) == 0 {
		return
	}
	if s.inbox.router.isClosed() && s.queue.err() != ErrUnsubscribed {
		s.inbox.abandon(left)
	} else {
		dismiss(left)
	}
}
