package mqtt

import (
	"context"
	"fmt"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// leaving waits for the end of filters on the server.
type leaving struct {
	acks []Ack // set before done is closed, as is err
	err  error
	done chan struct{}
}

// leaveFilters makes the server end what begin asks it to end, and waits for the
// answer. When ctx ends first, the request goes on, sent or not. The result is nil if
// there was nothing to end, or no answer.
func (e *engine) leaveFilters(ctx context.Context, name string, begin func(*session.Client) *session.Leave) (*leaving, error) {
	u := &leaving{done: make(chan struct{})}
	var leave *session.Leave
	var ended error
	e.do(func(engine *session.Client) {
		if leave = begin(engine); leave != nil {
			leave.Owner = u
			if ended = e.ending; ended != nil && !leave.Over() {
				engine.Subscriptions.Fail(ended)
			}
		}
	})
	if leave == nil {
		return nil, nil
	}
	select {
	case <-u.done:
	case <-ctx.Done():
		return nil, &requestError{"unsubscribe", name, true, context.Cause(ctx)}
	}
	if u.err == nil {
		return u, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return u, &requestError{"unsubscribe", name, leave.Sent(), u.err}
}

// conclude takes the server's answer.
func (u *leaving) conclude(l *session.Leave) {
	for i, f := range l.Answers {
		u.acks = append(u.acks, Ack{f.ReasonCode, f.ReasonString, f.UserProperties})
		if f.ReasonCode.Failed() && u.err == nil {
			u.err = fmt.Errorf("filter %.80q: %w", l.Filters[i], refusal(wire.TypeUnsuback, f))
		}
	}
	if l.Err != nil {
		u.err = l.Err
	}
	close(u.done)
}

// refusal says how the server has refused a filter, in a packet of type t or by ending
// the connection.
func refusal(t wire.PacketType, f session.FilterAnswer) error {
	if f.Err != nil {
		return f.Err
	}
	return &ServerError{Packet: t, ReasonCode: f.ReasonCode, ReasonString: f.ReasonString, UserProperties: f.UserProperties}
}
