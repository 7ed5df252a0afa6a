package mqtt

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// BatchOptions say when a batch is complete: as soon as one of these limits is reached.
type BatchOptions struct {
	// Messages is the largest number of messages in a batch. Zero means 1,000.
	Messages int
	// Bytes is how many bytes complete a batch. They are those of memory: topics,
	// payloads and properties as they are stored. A batch has more only by its last
	// message. Zero means SubscribeOptions.BufferBytes.
	Bytes int
	// Wait is how long a batch waits for further messages, counted from its first. Zero
	// means that it waits for none: a batch has what is there, and at least one message.
	Wait time.Duration
}

// HandleBatches calls f with several messages at a time, for programs that write many of
// them at once, into a database for example. It is Handle for batches: when f returns nil,
// all messages of the batch are acknowledged, unless ManualAck is set. If f returns a
// *Refusal or a bare ReasonCode, all are refused. Every other error ends HandleBatches,
// unless SubscribeOptions.OnFailure says otherwise. What f has not finished when
// HandleBatches ends goes to the next consumer, before all later messages. So does a batch
// that is not complete when ctx ends, and one for which f panics.
//
// Messages come in the order of arrival, of all QoS. f may acknowledge or refuse some of
// them by itself, with Message.Ack and Message.Refuse, and then return nil, or an error
// about the others. The slice is f's own. Messages belong to f, also with Lend.
//
// A batch never waits longer than BatchOptions.Wait. It is complete before that when the
// server may send nothing more at QoS 1 and 2 without an acknowledgement: when the
// connection has Config.ReceiveMaximum messages without one. Servers may have limits of
// their own, which no client knows: Mosquitto sends 20 unless max_inflight_messages says
// otherwise. A batch for more than that is complete only after Wait, so Wait should be
// short, or zero: the more waits in the meantime, the larger the next batch.
//
// Messages stay unacknowledged while their batch fills, and hold up the acknowledgements
// behind them. A batch is also complete when Drain, or Disconnect, has begun and nothing
// more comes. If the session is lost while a batch fills, the server may send its messages
// again, and they are in that batch or the next a second time. Otherwise a message is in
// two batches only where Handle would get it twice.
//
// With OnFailure, f is called again for the whole batch without what it has acknowledged
// or refused at QoS 1 and 2. After the last attempt, f is called for each message alone,
// in order, if there is a DeadLetter or Refuse: only those for which it fails once more
// end that way. Attempts counts the batch's attempts and that one.
//
// A Hook sees each call of f once, with the whole batch; f gets the context that it
// returns.
//
// One call of f runs at a time. Several HandleBatches may run at once, beside other
// consumers: each message goes to one of them. Concurrency, OrderBy and Unordered are
// without effect.
func (s *Subscription) HandleBatches(ctx context.Context, o BatchOptions, f func(context.Context, []*Message) error) error {
	switch {
	case f == nil:
		return errNoFunction(&s.options)
	case o.Messages < 0 || o.Bytes < 0 || o.Wait < 0:
		return &requestError{"handle", s.name(), false, invalid("batch options", "a limit is negative")}
	}
	o.Messages, o.Bytes = cmp.Or(o.Messages, 1000), cmp.Or(o.Bytes, s.queue.maxBytes)
	b := &batcher{handler: handler{sub: s}, f: s.hookedBatch(f), options: o, final: s.queue.finishing()}
	s.inbox.handlers.add()
	s.queue.addConsumer(&b.consumer)
	defer b.giveBack() // also when f panics
	return &requestError{"handle", s.name(), true, b.run(ctx)}
}

// batcher is one call of HandleBatches. What it has taken for a batch is in unfinished,
// until the batch is done.
type batcher struct {
	handler
	f         func(context.Context, []*Message) error
	options   BatchOptions
	final     <-chan struct{} // closed when nothing is added to the queue any more
	originals []Message       // the messages of unfinished as they came, with a policy and when f has them
}

func (b *batcher) run(ctx context.Context) error {
	b.consumer.batch = make([]item, min(handleBatch, b.options.Messages))
	for {
		if err := b.collect(ctx); err != nil {
			return err
		}
		if err := b.handle(ctx); err != nil {
			return err
		}
		b.dropFrom(0)
	}
}

// collect takes messages until the batch is complete.
func (b *batcher) collect(ctx context.Context) error {
	q := &b.sub.queue
	bytes, final := 0, false
	var over <-chan time.Time // nil: the first message is not there
	for {
		if err := b.stopped(ctx); err != nil {
			return err
		}
		if m, ok := b.consumer.claimNext(); ok {
			m.weigh()
			m.owned()
			b.unfinished = append(b.unfinished, m)
			if bytes += m.size; bytes >= b.options.Bytes || len(b.unfinished) >= b.options.Messages {
				return nil
			}
			if over == nil && b.options.Wait > 0 {
				timer := time.NewTimer(b.options.Wait)
				defer timer.Stop()
				over = timer.C
			}
			continue
		}
		select {
		case <-over:
			q.wake() // it may have been woken for a message that it does not take
			return nil
		default:
		}
		n, from, err := q.pop(&b.consumer, 0, b.consumer.batch, false)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if len(b.unfinished) > 0 && (final || b.options.Wait == 0) {
			if from == nil {
				q.woken()
			}
			return nil
		}
		if from != nil {
			from.step()
			continue
		}
		if b.awaitMore(ctx, over, &final) {
			return nil
		}
	}
}

// awaitMore waits until there may be more to take. It reports whether the batch is complete
// because nothing more may come, or in time. It sets final when nothing is added to the
// queue any more: what was added before still comes.
func (b *batcher) awaitMore(ctx context.Context, over <-chan time.Time, final *bool) (complete bool) {
	q, in := &b.sub.queue, b.sub.inbox
	defer q.woken()
	var full, ending <-chan struct{}
	if len(b.unfinished) > 0 { // for the first message it waits as long as need be
		in.filling.Add(1)
		defer in.filling.Add(-1)
		full, ending = in.full.await(), b.final // before saturated is asked
		if in.saturated() {
			return true
		}
	}
	select {
	case <-q.ready:
	case <-ending:
		*final = true
	case <-full:
		return true
	case <-over:
		return true
	case <-ctx.Done():
	}
	return false
}

// handle calls the function for the batch, as often as the policy says, and settles its
// messages.
func (b *batcher) handle(ctx context.Context) error {
	p := b.sub.options.OnFailure
	if p == nil {
		return b.call(ctx, b.messages())
	}
	b.originals = b.originals[:0]
	for _, m := range b.unfinished {
		b.originals = append(b.originals, *m.Message)
	}
	var a attempts
	for batch := b.messages(); ; batch = copies(b.originals) {
		err := b.call(ctx, batch)
		if err == nil {
			return nil
		}
		if stopped := b.stopped(ctx); stopped != nil {
			return stopped
		}
		a.made++
		if b.dropSettled(); len(b.unfinished) == 0 {
			return nil
		}
		if !a.more(p, err) {
			return b.giveUpAll(ctx, a.made, err)
		}
		b.sub.inbox.counters.retried.Add(1)
		if err := b.pause(ctx, a.again(p)); err != nil {
			return err
		}
	}
}

// call calls the function, and acknowledges or refuses what it has not acknowledged or
// refused itself.
func (b *batcher) call(ctx context.Context, batch []*Message) error {
	err := b.f(ctx, slices.Clone(batch))
	for _, m := range batch {
		if err := b.settle(m, err); err != nil {
			return err
		}
	}
	return nil
}

// messages returns those of the batch.
func (b *batcher) messages() []*Message {
	batch := make([]*Message, len(b.unfinished))
	for i, m := range b.unfinished {
		batch[i] = m.Message
	}
	return batch
}

// copies returns messages that the function has not had.
func copies(messages []Message) []*Message {
	batch := make([]*Message, len(messages))
	for i := range messages {
		batch[i] = new(messages[i])
	}
	return batch
}

// dropSettled takes out of the batch what the function has acknowledged or refused.
func (b *batcher) dropSettled() {
	kept := 0
	for i, m := range b.unfinished {
		if m.acknowledger.isSettled() {
			continue
		}
		b.unfinished[kept] = m
		if len(b.originals) > 0 {
			b.originals[kept] = b.originals[i]
		}
		kept++
	}
	b.dropFrom(kept)
}

// dropFrom takes the messages from the one with that number on out of the batch: they are
// done.
func (b *batcher) dropFrom(kept int) {
	done := len(b.unfinished) - kept
	clear(b.unfinished[kept:])
	b.unfinished = b.unfinished[:kept]
	if len(b.originals) > 0 {
		clear(b.originals[kept:])
		b.originals = b.originals[:kept]
	}
	b.sub.queue.handedOver(&b.consumer, done)
}

// giveUpAll ends the messages of a batch for which the function has failed for the last
// time, with err: each that fails alone, too.
func (b *batcher) giveUpAll(ctx context.Context, made int, err error) error {
	p := b.sub.options.OnFailure
	if p.DeadLetter == "" && p.Refuse == Success {
		return err
	}
	for alone := len(b.unfinished) > 1; len(b.unfinished) > 0; b.dropFirst() {
		a := attempts{original: b.originals[0], made: made, failure: err}
		if alone {
			a.failure = b.call(ctx, copies(b.originals[:1]))
			if a.failure == nil || b.unfinished[0].acknowledger.isSettled() {
				continue
			}
			if stopped := b.stopped(ctx); stopped != nil {
				return stopped
			}
			a.made++
		}
		for wait := time.Duration(0); wait >= 0; {
			var err error
			if wait, err = b.giveUp(ctx, &a); err != nil {
				return err
			}
			if wait >= 0 {
				if err := b.pause(ctx, wait); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// dropFirst takes the first message out of the batch: it is done.
func (b *batcher) dropFirst() {
	b.unfinished, b.originals = slices.Delete(b.unfinished, 0, 1), slices.Delete(b.originals, 0, 1)
	b.sub.queue.handedOver(&b.consumer, 1)
}

// giveBack gives back what was not finished.
func (b *batcher) giveBack() {
	b.dropSettled()
	b.handler.giveBack()
}
