package mqtt

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/seed65a45251/mqtt/internal/brief"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

// attempts are those at one message under a FailurePolicy, one after the other.
type attempts struct {
	original Message // as it came
	made     int
	backoff  *reconnect.Backoff // nil: nothing has failed yet
	failure  error              // with which the message was given up; nil: it was not
}

// more reports whether there is to be another attempt, after one has failed with err.
func (a *attempts) more(p *FailurePolicy, err error) bool {
	return (p.Attempts < 0 || a.made < p.Attempts) && (p.Permanent == nil || !p.Permanent(err))
}

// again returns how long to wait before the next attempt.
func (a *attempts) again(p *FailurePolicy) time.Duration {
	if a.backoff == nil {
		a.backoff = reconnect.New(p.Backoff, nil)
	}
	wait, _ := a.backoff.Next()
	return wait
}

// handleAll makes all attempts at m.
func (h *handler) handleAll(ctx context.Context, m *Message) error {
	a := &attempts{original: *m}
	for {
		wait, err := h.attempt(ctx, a, m)
		if err != nil || wait < 0 {
			return err
		}
		if err := h.pause(ctx, wait); err != nil {
			return err
		}
		m = new(a.original) // the function may have kept the last one
	}
}

// settled is the wait after which a message is not tried again: it is finished.
const settled time.Duration = -1

// attempt makes one attempt at m. It returns settled, or how long to wait before the next
// attempt, or what ends Handle.
func (h *handler) attempt(ctx context.Context, a *attempts, m *Message) (wait time.Duration, err error) {
	p := h.sub.options.OnFailure
	if a.failure == nil {
		err := h.settle(m, h.call(ctx, m))
		if err == nil || a.original.acknowledger.isSettled() {
			return settled, nil
		}
		if stopped := h.stopped(ctx); stopped != nil {
			return settled, stopped
		}
		a.made++
		if a.more(p, err) {
			h.sub.inbox.counters.retried.Add(1)
			return a.again(p), nil
		}
		a.failure = err
	}
	return h.giveUp(ctx, a)
}

// giveUp ends a message after its last attempt. What it returns is as with attempt.
func (h *handler) giveUp(ctx context.Context, a *attempts) (wait time.Duration, err error) {
	p, b := h.sub.options.OnFailure, h.sub.inbox
	failure, m := a.failure, &a.original
	if p.DeadLetter != "" {
		topic := p.deadLetterTopic(m.Topic)
		err := a.publishLetter(ctx, b.publisher, topic)
		if err == nil {
			m.acknowledger.acknowledge(Success)
			b.counters.deadLettered.Add(1)
			b.logger.Warn("mqtt message became a dead letter", "topic", brief.Text(m.Topic), "dead_letter", brief.Text(topic), "attempts", a.made, "cause", failure)
			return settled, nil
		}
		if stopped := h.stopped(ctx); stopped != nil {
			return settled, stopped
		}
		err = fmt.Errorf("dead letter: %w", inner{err})
		if !undeliverableForGood(err) { // at the end of the client the wait ends, too
			b.logger.Warn("mqtt dead letter not delivered yet", "topic", brief.Text(m.Topic), "dead_letter", brief.Text(topic), "cause", err)
			return a.again(p), nil
		}
		failure = errors.Join(failure, err)
	}
	if p.Refuse == Success {
		return settled, failure
	}
	m.acknowledger.refuse(p.Refuse, propertyText(failure.Error()))
	b.logger.Warn("mqtt message refused", "topic", brief.Text(m.Topic), "reason_code", p.Refuse, "attempts", a.made, "cause", failure)
	return settled, nil
}

// publishLetter publishes the dead letter.
func (a *attempts) publishLetter(ctx context.Context, to publisher, topic string) error {
	m := &a.original
	letter := m.content()
	letter.Topic, letter.QoS, letter.Retain, letter.MessageExpiryInterval = topic, AtLeastOnce, false, nil
	letter.UserProperties = append(m.UserProperties[:len(m.UserProperties):len(m.UserProperties)],
		UserProperty{Name: DeadLetterTopic, Value: m.Topic},
		UserProperty{Name: DeadLetterError, Value: propertyText(a.failure.Error())},
		UserProperty{Name: DeadLetterAttempts, Value: strconv.Itoa(a.made)})
	err := to.PublishMessage(ctx, letter)
	_, unknown := errors.AsType[*wire.FieldError](err)
	_, limit := errors.AsType[*LimitError](err)
	if unknown || limit {
		return to.PublishMessage(ctx, &Message{Topic: topic, Payload: m.Payload, QoS: AtLeastOnce})
	}
	return err
}

// undeliverableForGood reports whether a message that could not be published because of
// err never can be.
func undeliverableForGood(err error) bool {
	if s, ok := errors.AsType[*ServerError](err); ok { // that of a CONNACK ends the client
		return s.Packet == wire.TypePuback && !refusedForNow(s.ReasonCode)
	}
	_, limit := errors.AsType[*LimitError](err)
	return limit || errors.Is(err, ErrInvalid) || errors.Is(err, ErrUndeliverable)
}

// pause waits, until something ends Handle.
func (h *handler) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.sub.queue.cut:
	case <-ctx.Done():
	}
	return h.stopped(ctx)
}
