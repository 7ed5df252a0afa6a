package mqtt

import (
	"context"
	"slices"
	"sync/atomic"
)

// Hook sees messages on their way through a client, for traces and metrics. It may add
// user properties to those that are published, and values to contexts. It changes nothing
// else: a program that changes messages does it where it publishes and consumes them.
//
// The functions are called from any number of goroutines at once. They may call the
// client, but where they wait for it they hold up what they are called for. A panic in
// one of them is not recovered.
type Hook struct {
	// Publish is called before a message is accepted, in the goroutine that publishes
	// it: for Publish, PublishMessage, PublishAsync and PublishOnce, for Request, for
	// dead letters, and for the response of Respond. What an earlier process has left in
	// Config.Store was seen by that one. ctx is that of the call; for a response it has
	// the values of the context that Consume returned for the request.
	//
	// done is called once with the server's answer, or with the error of the operation.
	// For a call that waits this is before it returns, in the same goroutine. After
	// PublishAsync it is when the Delivery is done, on a goroutine of the client that
	// makes all such calls one after the other, in the order in which messages end.
	// If they are too slow PublishAsync takes no more messages: what waits for them counts
	// like messages that wait to be sent, beyond as many again (see Config.QueueMessages).
	// The end of the client waits a second for them. For Request, done is called when
	// Request returns, with its error and no answer. If done is nil, nobody is told.
	//
	// The next Hook gets the context that is returned, which must not be nil, and so does
	// Consume for the response to a Request. If Publish is nil, it is not called.
	Publish func(ctx context.Context, m *PublishInfo) (_ context.Context, done func(Ack, error))

	// Consume is called before a consumer gets a message, in the goroutine of the
	// consumer or, for Stream and Messages, of the client. ctx is that of the consumer;
	// Messages has none. A message that nobody consumes, such as one that is dropped, is
	// not seen.
	//
	// done is called once. If it is nil, nobody is told. What it means depends on the
	// operation:
	//
	//   - Handle: the function has returned, with that error. The acknowledgement or
	//     refusal follows. The function gets the context that is returned.
	//   - Respond: the function has returned, with that error. The response follows. The
	//     function gets the context that is returned.
	//   - HandleBatches: the same for a batch, of which Consume is told once.
	//   - All: the loop body has ended; the error is nil. The acknowledgement follows.
	//   - Next: the message is about to be returned; the error is nil.
	//   - Stream, Messages: the message is on the channel. An error says that it was not
	//     put there, because the context or the Subscription has ended; the message goes
	//     to the next consumer if there is one.
	//   - Request: the response is about to be returned. The error is a *ResponseError if
	//     the response reports one.
	//
	// A function or a loop body that panics counts as failed. The next Hook gets the
	// context that is returned, which must not be nil. If Consume is nil, it is not called.
	Consume func(ctx context.Context, m *ConsumeInfo) (_ context.Context, done func(error))
}

// PublishInfo is a message that is about to be published, as a Hook sees it. It and its
// fields are valid until done is called, and must not be changed.
type PublishInfo struct {
	Operation Operation
	// Message has the content of the program's message.
	Message *Message
	// Server is what the last connection has agreed on. Before the first, it has the
	// ClientID of Config only.
	Server *ServerInfo

	added []UserProperty
}

// AddUserProperty adds a user property to the message, behind those that it has. It is for
// Hook.Publish, before it returns. The property goes out where there are user properties:
// a connection before 5.0 sends the message without it, and so does one whose server would
// find the message too large with it. A message that waits, in Config.Store too, keeps it
// for the connection that sends it.
func (p *PublishInfo) AddUserProperty(name, value string) {
	p.added = append(p.added, UserProperty{Name: name, Value: value})
}

// ConsumeInfo is a message that a consumer is about to get, as a Hook sees it. It and its
// fields are valid until done is called or the consumer has the message, whichever is
// first, and must not be changed.
type ConsumeInfo struct {
	Operation Operation
	// Message is the message, or the first of Batch.
	Message *Message
	// Batch has all messages of a batch. It is nil for operations other than HandleBatches.
	Batch []*Message
	// Filter is the filter of the Subscription that the topic matches, as it was given to
	// Subscribe. It is "" for the response to a Request.
	Filter string
	// Server is what the last connection has agreed on. With
	// SubscribeOptions.OwnConnection, it is that of the Subscription.
	Server *ServerInfo
}

// hooks are those of Config.Hooks.
type hooks struct {
	publish []func(context.Context, *PublishInfo) (context.Context, func(Ack, error))
	consume []func(context.Context, *ConsumeInfo) (context.Context, func(error))
	server  atomic.Pointer[ServerInfo] // of the last connection; never changed
	reports reports                    // of what PublishAsync has accepted
}

// newHooks returns nil if there is nothing to call.
func newHooks(all []Hook, clientID string) *hooks {
	h := new(hooks)
	for _, hook := range all {
		if hook.Publish != nil {
			h.publish = append(h.publish, hook.Publish)
		}
		if hook.Consume != nil {
			h.consume = append(h.consume, hook.Consume)
		}
	}
	if len(h.publish)+len(h.consume) == 0 {
		return nil
	}
	h.server.Store(&ServerInfo{ClientID: clientID})
	return h
}

// publishes says that there is a hook for messages that are published.
func (h *hooks) publishes() bool { return h != nil && len(h.publish) > 0 }

// consuming returns what calls the hooks for consumers; nil: there is none.
func (h *hooks) consuming() consuming {
	if h == nil || len(h.consume) == 0 {
		return nil
	}
	return h.beginConsume
}

// published is a message that hooks have seen, and whom of them to tell of its end.
type published struct {
	PublishInfo
	told  atomic.Bool
	done  []func(Ack, error)
	first [1]func(Ack, error) // space for done: it is almost always one
	own   Message             // a copy, so that the program's own can stay on its stack
	ack   Ack
	err   error
}

// beginPublish calls the hooks for m.
func (h *hooks) beginPublish(ctx context.Context, o Operation, m *Message) (context.Context, *published) {
	p := &published{PublishInfo: PublishInfo{Operation: o, Server: h.server.Load()}, own: *m}
	p.Message = &p.own
	p.done = p.first[:0]
	for _, hook := range h.publish {
		var done func(Ack, error)
		if ctx, done = hook(ctx, &p.PublishInfo); done != nil {
			p.done = append(p.done, done)
		}
	}
	return ctx, p
}

// end tells the hooks how it ended, the last of them first. Only the first call counts.
func (p *published) end(ack Ack, err error) {
	if !p.told.CompareAndSwap(false, true) {
		return
	}
	for _, done := range slices.Backward(p.done) {
		done(ack, err)
	}
}

// report is end for a message that the engine has completed.
func (p *published) report() { p.end(p.ack, p.err) }

// reportLocked has the hooks told of the end of d, on another goroutine.
func (h *hooks) reportLocked(p *published, d *Delivery, ack Ack, err error) {
	p.ack, p.err = ack, err
	h.reports.addLocked(report{reporter: p, size: d.out.Publish.Cost()})
}

// consumed is a message that hooks have seen, and whom of them to tell.
type consumed struct {
	ConsumeInfo
	done  []func(error)
	first [1]func(error) // space for done
}

// beginConsume calls the hooks for m, or for a batch that begins with it.
func (h *hooks) beginConsume(ctx context.Context, o Operation, filter string, m *Message, batch []*Message) (context.Context, func(error)) {
	c := &consumed{ConsumeInfo: ConsumeInfo{o, m, batch, filter, h.server.Load()}}
	c.done = c.first[:0]
	for _, hook := range h.consume {
		var done func(error)
		if ctx, done = hook(ctx, &c.ConsumeInfo); done != nil {
			c.done = append(c.done, done)
		}
	}
	switch len(c.done) {
	case 0:
		return ctx, ignored
	case 1:
		return ctx, c.done[0]
	}
	return ctx, c.end
}

func ignored(error) {}

// end tells the hooks, the last of them first.
func (c *consumed) end(err error) {
	for _, done := range slices.Backward(c.done) {
		done(err)
	}
}
