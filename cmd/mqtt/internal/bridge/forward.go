package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
)

const (
	// path is the user property in which each bridge puts its name (5.0). A message that
	// has been here goes no further.
	path = "mqtt-bridge"
	// longest is how many bridges a message passes at most.
	longest = 16
	// ahead is how many messages may be under way to a server.
	ahead = 1024
)

// forwarder takes messages from one server to the other.
type forwarder struct {
	id       string
	from, to *mqtt.Client
	lanes    []lane
	stored   bool // what the client takes is as safe as with the server
	note     func(format string, args ...any)
}

// sent is a message on its way.
type sent struct {
	message  *mqtt.Message
	delivery *mqtt.Delivery
}

// run forwards until ctx or the Subscription ends.
func (f *forwarder) run(ctx context.Context) error {
	if len(f.lanes) == 0 {
		return nil
	}
	sub, err := f.from.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters: filters(f.lanes, f.from.ServerInfo().Version >= mqtt.V5), ManualAck: true,
	})
	if err != nil {
		return err
	}
	// What was taken over is finished after the end of ctx, too: a message that the store
	// has got, and that is not acknowledged, would be forwarded twice.
	patient, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drain, cancel) })()
	underway := make(chan sent, ahead)
	var g errgroup.Group
	g.Go(func() error {
		defer close(underway)
		for m := range sub.Stream(ctx) {
			if err := f.forward(patient, m, underway); err != nil {
				return err
			}
		}
		if err := sub.Err(); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	})
	g.Go(func() error {
		f.acknowledge(patient, underway)
		return nil
	})
	return g.Wait()
}

// forward gives a message to the other client. It waits for space in that one's queue.
func (f *forwarder) forward(ctx context.Context, m *mqtt.Message, underway chan<- sent) error {
	to, why := f.translate(m)
	if to == nil {
		f.note("left out %s: %s", m.Topic, why)
		return ignoreStale(m.Ack())
	}
	delivery, err := f.to.PublishAsync(ctx, to)
	switch {
	case err != nil && (ctx.Err() != nil || f.to.Err() != nil):
		return nil // it is not acknowledged, so it stays with the server
	case errors.Is(err, mqtt.ErrStore):
		return err // nothing more can be kept here
	case err != nil:
		f.note("cannot forward %s: %v", m.Topic, err)
		return ignoreStale(m.Ack())
	case f.stored && to.QoS > mqtt.AtMostOnce:
		return ignoreStale(m.Ack())
	}
	underway <- sent{m, delivery}
	return nil
}

// acknowledge acknowledges each message when the other server has it, until ctx ends.
func (f *forwarder) acknowledge(ctx context.Context, underway <-chan sent) {
	for s := range underway {
		_, err := s.delivery.Wait(ctx)
		if err != nil && (ctx.Err() != nil || f.to.Err() != nil) {
			continue // it stays with the server that it is from
		}
		if err != nil {
			f.note("not forwarded: %v", err)
		}
		_ = ignoreStale(s.message.Ack()) // its own client has ended
	}
}

// ignoreStale leaves out that the server has lost the session: it sends the message again.
func ignoreStale(err error) error {
	if errors.Is(err, mqtt.ErrStale) || errors.Is(err, mqtt.ErrClosed) {
		return nil
	}
	return err
}

// translate returns m as it is published at the other server, or why it is not.
func (f *forwarder) translate(m *mqtt.Message) (to *mqtt.Message, why string) {
	name, ok := topic(f.lanes, m.Topic)
	if !ok {
		return nil, "no route gives it a topic"
	}
	to = &mqtt.Message{
		Topic: name, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain,
		ContentType: m.ContentType, ResponseTopic: m.ResponseTopic, CorrelationData: m.CorrelationData,
		PayloadFormatUTF8: m.PayloadFormatUTF8, MessageExpiryInterval: m.MessageExpiryInterval,
	}
	hops := 0
	for _, p := range m.UserProperties {
		if p.Name == path {
			hops++
			if p.Value == f.id {
				return nil, "it has been here: bridges form a loop"
			}
		}
	}
	if hops >= longest {
		return nil, fmt.Sprintf("it has passed %d bridges", hops)
	}
	to.UserProperties = append(append(to.UserProperties, m.UserProperties...), mqtt.UserProperty{Name: path, Value: f.id})
	if f.to.ServerInfo().Version < mqtt.V5 { // there are no properties
		*to = mqtt.Message{Topic: to.Topic, Payload: to.Payload, QoS: to.QoS, Retain: to.Retain}
	}
	return to, ""
}

// oneLine keeps texts of servers on their line.
func oneLine(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }
