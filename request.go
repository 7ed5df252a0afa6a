package mqtt

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt/wire"
)

// Request publishes m and waits for the response. Any number of Requests may be
// under way; they share one response topic and one Subscription, which the
// first of them makes, and both survive reconnects and lost sessions. The request itself is
// as safe as its QoS: with AtMostOnce it may get lost, and the wait with it.
//
// A *ResponseError is what a function given to Respond returned instead of a
// response. A *ServerError with NoMatchingSubscribers says that nobody can
// answer. When ctx ends first, a response that comes later is dropped and
// counted in Stats, like every response that nobody waits for.
//
// The response topic lies below Config.ResponsePrefix, or below the server's
// response information if Config.RequestResponseInformation got any. The
// correlation data are the library's.
//
// A ResponseTopic in m is for responders that do not speak 5.0 or know by
// convention where to respond: the first message that the server sends on that
// topic after the request is the response, whoever it answers. (If m has
// CorrelationData, only a message with the same.) Requests with the same
// ResponseTopic therefore wait for one another, those of other clients cannot
// be told apart, and a response that comes too late for one Request may be taken
// for that of the next. It cannot be the topic of the request itself. Before 5.0
// Request needs a ResponseTopic, and the server does not pass it on.
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
	if m.ResponseTopic != "" {
		return c.requestOn(ctx, m)
	}
	if m.CorrelationData != nil {
		return nil, &requestError{"request", m.Topic, false, invalid("correlation data", "need a ResponseTopic")}
	}
	r, asked, err := c.beginAsking(ctx)
	if err != nil {
		return nil, &requestError{"request", m.Topic, false, err}
	}
	defer c.doneAsking(r, asked)
	question := m.content()
	question.ResponseTopic, question.CorrelationData = r.topic, []byte(asked.correlation)
	return c.ask(ctx, question, asked.response)
}

// response is what a Request waits for. Its channel has room for it.
type response struct {
	m   *Message
	err error
}

// errAnswered ends a request that was answered before it could be sent: on a
// topic that others use as well.
var errAnswered = errors.New("a response is there already")

// ask publishes m and waits for what comes on responses.
func (c *Client) ask(ctx context.Context, m *Message, responses <-chan response) (*Message, error) {
	d, err := c.PublishAsync(ctx, m)
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

// result returns what a Request returns. A response that reports a failure
// becomes an error.
func (r response) result(topic string) (*Message, error) {
	if r.err != nil {
		return nil, &requestError{"request", topic, true, r.err}
	}
	i := slices.IndexFunc(r.m.UserProperties, func(p UserProperty) bool { return p.Name == errorProperty })
	if i < 0 {
		return r.m, nil
	}
	return nil, &requestError{"request", topic, true, &ResponseError{Text: r.m.UserProperties[i].Value, Response: r.m}}
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
	if err := c.requests.turns.take(ctx, m.ResponseTopic); err != nil {
		return fail(err)
	}
	defer c.requests.turns.pass(m.ResponseTopic)
	s, err := c.subscribeForResponses(ctx, m.ResponseTopic)
	if err != nil {
		return fail(err)
	}
	defer c.forsake(s)
	skipReceived(s)
	responses := make(chan response, 1)
	if !c.pumps.start(func() { responses <- firstResponse(s, m.CorrelationData) }) {
		return fail(context.Cause(c.ctx))
	}
	question := m.content()
	if c.ServerInfo().Version < V5 {
		question.ResponseTopic = "" // the responder knows it
	}
	return c.ask(ctx, question, responses)
}

// subscribeForResponses subscribes to a topic that means nothing to a later process.
func (c *Client) subscribeForResponses(ctx context.Context, topic string) (*Subscription, error) {
	f := Filter{Filter: topic, QoS: ExactlyOnce}
	if c.ServerInfo().Version == V5 {
		f.RetainHandling = DontSendRetained
	}
	s, err := c.SubscribeWith(ctx, SubscribeOptions{Filters: []Filter{f}})
	if err != nil {
		return nil, err
	}
	c.router.mu.Lock()
	s.transient = true
	c.router.mu.Unlock()
	return s, nil
}

// skipReceived drops what s has by now: it answers an earlier request.
func skipReceived(s *Subscription) {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		if _, err := s.Next(now); err != nil {
			return
		}
		s.client.engine.counters.stray.Add(1)
	}
}

// firstResponse waits for a message that can be a response. A retained one is
// older than the request.
func firstResponse(s *Subscription, correlation []byte) response {
	for {
		m, err := s.Next(context.Background())
		if err != nil {
			return response{err: err}
		}
		if !m.Retain && (correlation == nil || slices.Equal(m.CorrelationData, correlation)) {
			return response{m: m}
		}
		s.client.engine.counters.stray.Add(1)
	}
}

// ResponseError is the response of a Respond whose function failed.
type ResponseError struct {
	Text     string   // of the error that the function returned
	Response *Message // as it came
}

// Error quotes the responder.
func (e *ResponseError) Error() string { return fmt.Sprintf("responder failed: %.200q", e.Text) }

// newResponseTopic makes a topic that nobody can guess. base is the client's
// setting, info what the server said.
func newResponseTopic(base, info string) string {
	if base == "" {
		base = info
	}
	if base == "" {
		base = "responses"
	}
	return strings.TrimSuffix(base, "/") + "/" + rand.Text()
}

// correlations numbers the requests of one response topic, behind bytes that
// nobody can guess.
type correlations struct{ next [16]byte }

func newCorrelations() (c correlations) {
	rand.Read(c.next[:8])
	return c
}

func (c *correlations) take() string {
	n := binary.BigEndian.Uint64(c.next[8:])
	binary.BigEndian.PutUint64(c.next[8:], n+1)
	return string(c.next[:])
}
