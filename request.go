package mqtt

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// Request publishes m and waits for the response. Any number of Requests may run at
// once. They share one response topic and one Subscription, which the first of them
// makes; both survive reconnects and lost sessions. The request itself is as safe as
// its QoS: with AtMostOnce it may get lost, and then no response comes.
//
// A *ResponseError is the error of the function given to Respond. A *ServerError with
// NoMatchingSubscribers says that no responder is there. When ctx ends first, a later
// response is dropped and counted in Stats, like every response without a Request that
// waits for it.
//
// The deadline of ctx travels with the request as its MessageExpiryInterval, rounded up to
// the next whole second (5.0). So the server forgets a request for which nobody waits any
// more, and the function given to Respond has the deadline, too. A MessageExpiryInterval
// in m wins.
//
// The response topic lies below Config.ResponsePrefix, or below the server's response
// information if Config.RequestResponseInformation got any. The library sets the
// correlation data.
//
// Set ResponseTopic in m for responders that do not speak 5.0 or know by convention
// where to respond. The response is then the first message that the server sends on
// that topic after the request, whatever it answers. (If m has CorrelationData, it is
// the first with the same.) Requests with the same ResponseTopic therefore wait for one
// another. Those of other clients cannot be told apart, and a response that comes too
// late for one Request may be taken for that of the next. ResponseTopic must differ
// from the topic of the request. Before 5.0 Request needs a ResponseTopic, and the
// server does not pass it on.
func (c *Client) Request(ctx context.Context, m *Message) (*Message, error) {
	if m == nil {
		return nil, &requestError{"request", "", false, invalid("message", "is nil")}
	}
	if err := m.validate(); err != nil {
		return nil, &requestError{"request", m.Topic, false, err}
	}
	if ctx.Err() != nil {
		return nil, &requestError{"request", m.Topic, false, context.Cause(ctx)}
	}
	if m.ResponseTopic == m.Topic {
		return nil, &requestError{"request", m.Topic, false, invalid("response topic", "is that of the request, which would be its own response")}
	}
	if err := c.requests.begin(); err != nil {
		return nil, &requestError{"request", m.Topic, false, err}
	}
	defer c.requests.end()
	if err := c.awaitFirst(ctx); err != nil {
		return nil, &requestError{"request", m.Topic, false, err}
	}
	if m.ResponseTopic != "" {
		return c.requestOn(ctx, m)
	}
	if m.CorrelationData != nil {
		return nil, &requestError{"request", m.Topic, false, invalid("correlation data", "need a ResponseTopic")}
	}
	r, asked, err := c.registerRequest(ctx)
	if err != nil {
		return nil, &requestError{"request", m.Topic, false, err}
	}
	defer func() {
		if r.remove(asked) {
			r.sub.unsubscribeLater()
		}
	}()
	question := m.content()
	question.ResponseTopic, question.CorrelationData = r.topic, []byte(asked.correlation)
	c.expireWith(ctx, question)
	return c.ask(ctx, question, asked.response)
}

// expireWith lets question expire when ctx ends, unless it says when. It expires later than
// ctx, by a second at most: whole seconds are all that a server understands, and ctx has
// to be what ends the call.
func (c *Client) expireWith(ctx context.Context, question *Message) {
	deadline, ok := ctx.Deadline()
	if !ok || question.MessageExpiryInterval != nil || c.ServerInfo().Version < V5 {
		return
	}
	if left := time.Until(deadline)/time.Second + 1; left <= math.MaxUint32 {
		question.MessageExpiryInterval = new(left * time.Second)
	}
}

// errAnswered ends a request that was answered before it could be sent: on a
// topic that others use as well.
var errAnswered = errors.New("a response is there already")

// ask publishes m and waits for what comes on responses.
func (c *Client) ask(ctx context.Context, m *Message, responses <-chan response) (*Message, error) {
	if c.hooks == nil {
		return c.askFor(ctx, m, nil, responses)
	}
	asking, p := c.hooks.beginPublish(ctx, OperationRequest, m)
	answer, err := c.askFor(ctx, m, p.added, responses)
	c.consumeAnswer(asking, answer, err)
	p.end(Ack{}, err)
	return answer, err
}

// consumeAnswer calls the hooks for what a Request has got, if that is a message.
func (c *Client) consumeAnswer(ctx context.Context, response *Message, err error) {
	if failed, ok := errors.AsType[*ResponseError](err); ok {
		response = failed.Response
	}
	if response == nil {
		return
	}
	_, done := c.hooks.beginConsume(ctx, OperationRequest, "", response, nil)
	done(err)
}

// askFor is ask with the user properties that hooks have added to m.
func (c *Client) askFor(ctx context.Context, m *Message, added []UserProperty, responses <-chan response) (*Message, error) {
	d, err := c.publishAsync(ctx, m, added, new(Delivery)) // a refusal is the answer
	if err != nil {
		err.(*requestError).op = "request"
		return nil, err
	}
	accepted := d.Done()
	for {
		select {
		case got := <-responses:
			// The acknowledgement may still be out, but the payload is the caller's.
			c.abandon(d, errAnswered)
			return got.result(m.Topic)
		case <-accepted:
			accepted = nil
			failed := d.unanswerable()
			if failed == nil {
				continue
			}
			select {
			case got := <-responses: // faster than the acknowledgement
				return got.result(m.Topic)
			default:
				return nil, failed
			}
		case <-ctx.Done():
			failed := &requestError{"request", m.Topic, true, context.Cause(ctx)}
			if left, err := c.abandon(d, failed.err); left {
				failed.sent = !NotSent(err)
			}
			return nil, failed
		}
	}
}

// unanswerable says why no response can come, once d is done.
func (d *Delivery) unanswerable() error {
	ack, err := d.result()
	topic := d.out.Publish.Topic
	switch {
	case err != nil:
		err.(*requestError).op = "request"
		return err
	case ack.ReasonCode == NoMatchingSubscribers && !d.out.Publish.Retain:
		packet := wire.TypePuback
		if d.out.Publish.QoS == ExactlyOnce {
			packet = wire.TypePubrec
		}
		return &requestError{"request", topic, true, &ServerError{Packet: packet, ReasonCode: ack.ReasonCode,
			ReasonString: ack.ReasonString, UserProperties: ack.UserProperties}}
	}
	return nil
}

// requestOn asks with a response topic that the caller has chosen.
func (c *Client) requestOn(ctx context.Context, m *Message) (*Message, error) {
	fail := func(err error) (*Message, error) {
		return nil, &requestError{"request", m.Topic, false, err}
	}
	if err := c.requests.lock.acquire(ctx, m.ResponseTopic); err != nil {
		return fail(err)
	}
	defer c.requests.lock.release(m.ResponseTopic)
	s, err := c.subscribeForResponses(ctx, m.ResponseTopic)
	if err != nil {
		return fail(err)
	}
	defer s.unsubscribeLater()
	skipReceived(s)
	responses := make(chan response, 1)
	if !c.inbox.workers.start(func() { responses <- firstResponse(s, m.CorrelationData) }) {
		return fail(context.Cause(c.ctx))
	}
	question := m.content()
	if c.ServerInfo().Version < V5 {
		question.ResponseTopic = "" // the responder knows it
	}
	c.expireWith(ctx, question)
	return c.ask(ctx, question, responses)
}

// subscribeForResponses subscribes to a topic that means nothing to a later process.
func (c *Client) subscribeForResponses(ctx context.Context, topic string) (*Subscription, error) {
	f := Filter{Filter: topic, QoS: ExactlyOnce}
	if c.ServerInfo().Version == V5 {
		f.RetainHandling = DontSendRetained
	}
	return c.subscribe(ctx, SubscribeOptions{Filters: []Filter{f}}, kindResponses)
}

// skipReceived drops what s has by now: it answers an earlier request.
func skipReceived(s *Subscription) {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	var next [1]item
	for {
		if _, err := s.pop(now, nil, 0, next[:], true); err != nil {
			s.queue.leftAlone()
			return
		}
		s.inbox.counters.stray.Add(1)
	}
}

// firstResponse waits for a message that can be a response. A retained one is
// older than the request.
func firstResponse(s *Subscription, correlation []byte) response {
	for {
		m, err := s.next(context.Background())
		if err != nil {
			return response{err: err}
		}
		if !m.Retain && (correlation == nil || slices.Equal(m.CorrelationData, correlation)) {
			return response{m: m}
		}
		s.inbox.counters.stray.Add(1)
	}
}

// responses returns the client's present response topic. The first Request
// makes it, and so does one that finds that the server wants another or that the
// Subscription has ended.
func (c *Client) responses(ctx context.Context) (*responses, error) {
	if r := c.currentResponses(); r != nil {
		return r, nil
	}
	// No Request names "" as its response topic.
	if err := c.requests.lock.acquire(ctx, ""); err != nil {
		return nil, err
	}
	defer c.requests.lock.release("")
	if r := c.currentResponses(); r != nil {
		return r, nil // somebody else made it meanwhile
	}
	return c.newResponses(ctx)
}

func (c *Client) currentResponses() *responses {
	info := c.ServerInfo().ResponseInformation
	c.requests.mu.Lock()
	r := c.requests.current
	c.requests.mu.Unlock()
	if r == nil || r.info != info || r.sub.Err() != nil {
		return nil
	}
	return r
}

func (c *Client) newResponses(ctx context.Context) (*responses, error) {
	info := c.ServerInfo()
	if info.Version < V5 {
		return nil, invalid("response topic", "MQTT %v has no response topics of its own; name one that the responder knows", info.Version)
	}
	r := &responses{
		topic:        newResponseTopic(c.cfg.ResponsePrefix, info.ResponseInformation),
		info:         info.ResponseInformation,
		correlations: newCorrelations(),
		waiting:      make(map[string]*asked),
	}
	if err := match.ValidateTopic(r.topic); err != nil {
		return nil, invalid("response information of the server", "%w", err)
	}
	var err error
	if r.sub, err = c.subscribeForResponses(ctx, r.topic); err != nil {
		return nil, err
	}
	if !c.inbox.workers.start(func() { c.takeResponses(r) }) {
		return nil, context.Cause(c.ctx)
	}
	c.requests.mu.Lock()
	before := c.requests.current
	c.requests.current = r
	c.requests.mu.Unlock()
	if before != nil && before.supersede() {
		before.sub.unsubscribeLater()
	}
	return r, nil
}

// takeResponses hands responses to the Requests that wait for them, until the
// Subscription ends.
func (c *Client) takeResponses(r *responses) {
	for {
		m, err := r.sub.next(context.Background())
		if err != nil {
			r.fail(err)
			return
		}
		if !r.resolve(m) {
			c.counters.stray.Add(1)
		}
	}
}

// registerRequest registers a Request with the present response topic.
func (c *Client) registerRequest(ctx context.Context) (*responses, *asked, error) {
	for {
		r, err := c.responses(ctx)
		if err != nil {
			return nil, nil, err
		}
		if a := r.add(); a != nil {
			return r, a, nil
		}
	}
}
