package mqtt

import (
	"cmp"
	"context"
	"errors"
	"time"
)

// RespondOptions describe a responder in full.
type RespondOptions struct {
	// SubscribeOptions say where requests come from. ManualAck has no effect, because
	// Respond acknowledges. The options for Handle (Lend, OrderBy, Unordered, OnFailure,
	// and the Concurrency in here) are refused with ErrInvalid: the requester is told of
	// a failure, and decides whether to ask again.
	SubscribeOptions
	// Concurrency is how many calls of the function may run at once. With 1, requests
	// are answered in their order. Zero means 16. In a RespondOptions called o,
	// o.Concurrency is this field, not that of SubscribeOptions.
	Concurrency int
	// RememberFor is how long an answered request is remembered, so that it is not handled
	// again if it comes again; see Client.Respond. Zero means a minute. If negative,
	// nothing is remembered, and the function is called for every message.
	RememberFor time.Duration
}

// Respond subscribes to filter and calls f for every message, up to 16 at a time, until
// ctx ends. It publishes what f returns to the response topic of the request, with its
// correlation data, at the QoS of the request or a higher one that f gives. If f
// returns nil and no error, there is no response.
//
// Some requests name no response topic, because both sides have agreed on one. Then the
// response goes to the Topic of f's message, which must not be that of the request. For
// other requests that Topic is ignored.
//
// An error of f becomes the response: Request returns its text to the caller as a
// *ResponseError. Before 5.0 a response cannot report an error, and the caller gets
// none. To refuse a request towards the server, f calls its Refuse. A panic of f is not
// recovered.
//
// A request is acknowledged only when the server has the response, so at QoS 1 and 2 it
// survives a reconnect. A request that could not be answered is logged, counted in Stats, and
// acknowledged all the same.
//
// The context of f has a deadline where the request has a MessageExpiryInterval: the time
// that was left when it came. Request sends that of its own context. A request that has
// expired is not handed to f, nor answered when f returns too late. It counts as
// unanswered, with ErrExpired in the log.
//
// A request at QoS 1 or 2 may come again: when an acknowledgement got lost, when a
// session did, or when its sender repeats it. f is not called for it a second time within
// RespondOptions.RememberFor. While f is busy with it, the one response serves both; later
// it gets the first response again. That concerns requests with a response topic and
// correlation data that are equal in these, in topic, payload, content type and user
// properties. Each Respond remembers 4,096 requests and 1 MiB of responses; beyond that it
// forgets the oldest, and larger responses at once. Other responders, as workers of a
// shared filter are, do not know of it, nor does the next process. So f may be called twice
// all the same; rarely.
//
// When ctx ends, Respond drains: it unsubscribes and still answers the requests that
// have come. Their calls get a context with the values of ctx and without its end. That
// context ends after Config.WriteTimeout, or when the client ends; Respond returns at
// most a second later, even if a call of f is still busy. The error says why Respond
// ended and is never nil.
//
// A request at QoS 1 or 2 that has no answer by then goes back to the server
// unacknowledged if another responder can take it: where filters are shared or the
// session stays (Config.Resume). Like a message that a Handle has not finished, it
// holds up the acknowledgements behind it until the session ends, or until another
// consumer of this client takes it. The response to every other request says that the
// responder has stopped.
func (c *Client) Respond(ctx context.Context, filter string, f func(context.Context, *Message) (*Message, error)) error {
	// The server lowers the QoS to what the request came with.
	return c.RespondWith(ctx, RespondOptions{
		SubscribeOptions: SubscribeOptions{Filters: []Filter{{Filter: filter, QoS: ExactlyOnce}}},
	}, f)
}

// RespondWith is Respond with all options.
func (c *Client) RespondWith(ctx context.Context, o RespondOptions, f func(context.Context, *Message) (*Message, error)) error {
	name := ""
	if len(o.Filters) > 0 {
		name = o.Filters[0].Filter
	}
	switch {
	case f == nil:
		return &requestError{"respond", name, false, invalid("function", "is nil")}
	case o.Concurrency < 0:
		return &requestError{"respond", name, false, invalid("concurrency", "%d is negative", o.Concurrency)}
	case o.Lend || o.SubscribeOptions.Concurrency > 0 || o.OrderBy != nil || o.Unordered || o.OnFailure != nil:
		return &requestError{"respond", name, false, invalid("options", "SubscribeOptions.Lend, Concurrency, OrderBy, Unordered and OnFailure are for Handle; RespondOptions.Concurrency is for Respond")}
	}
	o.ManualAck = true
	s, err := c.SubscribeWith(ctx, o.SubscribeOptions)
	if err != nil {
		if s != nil { // a filter was refused, others were not
			s.unsubscribeLater()
		}
		err.(*requestError).op = "respond"
		return err
	}
	r := &responder{client: c, sub: s, f: f, slots: make(chan struct{}, cmp.Or(o.Concurrency, 16)), repeats: newRepeats(o.RememberFor), busy: make(map[*Message]busy)}
	return &requestError{"respond", name, true, r.run(ctx)}
}

// request is what the response to a message depends on.
type request struct {
	topic, responseTopic string
	correlation          []byte
	qos                  QoS
}

func requestOf(m *Message) request {
	return request{m.Topic, m.ResponseTopic, m.CorrelationData, m.QoS}
}

var errNoResponseTopic = errors.New("request names no response topic")

func (r *responder) publish(ctx context.Context, q request, answer *Message, failure error) error {
	if failure == nil && answer == nil {
		return nil
	}
	// On the topic of the request the response would be a request, forever.
	if q.responseTopic == "" && (failure != nil || answer.Topic == "" || answer.Topic == q.topic) {
		return errors.Join(errNoResponseTopic, failure)
	}
	if failure != nil {
		return r.report(ctx, q, failure)
	}
	err := r.client.publishMessage(ctx, OperationRespond, r.response(q, answer))
	_, limit := errors.AsType[*LimitError](err)
	if q.responseTopic != "" && (limit || errors.Is(err, ErrInvalid)) {
		return errors.Join(err, r.report(ctx, q, err)) // a small response may get through
	}
	return err
}

// response makes of f's message the one to publish.
func (r *responder) response(q request, answer *Message) *Message {
	m := answer.content()
	if q.responseTopic != "" {
		m.Topic = q.responseTopic
	}
	if q.correlation != nil {
		m.CorrelationData = q.correlation
	}
	if m.ResponseTopic == q.responseTopic {
		m.ResponseTopic = "" // f has returned the request itself
	}
	m.QoS = max(m.QoS, r.qos(q))
	return m
}

func (r *responder) qos(q request) QoS {
	return min(q.qos, r.client.ServerInfo().Limits.MaximumQoS)
}

// report tells the requester that f has failed.
func (r *responder) report(ctx context.Context, q request, failure error) error {
	return r.client.publishMessage(ctx, OperationRespond, &Message{
		Topic: q.responseTopic, QoS: r.qos(q), CorrelationData: q.correlation,
		UserProperties: []UserProperty{{Name: errorProperty, Value: propertyText(failure.Error())}},
	})
}
