package main

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomqtt "github.com/256dpi/gomqtt/client"
	"github.com/256dpi/gomqtt/client/future"
	"github.com/256dpi/gomqtt/packet"
	"github.com/256dpi/gomqtt/session"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// gomqttClient is github.com/256dpi/gomqtt.
type gomqttClient struct {
	reports *reports
	client  *gomqtt.Client
	life    *life
	id      string
	session *session.MemorySession // of id
}

func newGomqtt() *client {
	return newClient(conformance.Hello{
		Name: "gomqtt", Library: version("github.com/256dpi/gomqtt"),
		Versions: []int{4}, Transports: []string{"mqtt", "ws"},
	}, func(r *reports) library { return &gomqttClient{reports: r} })
}

func (g *gomqttClient) connect(ctx context.Context, op conformance.Operation) (conformance.Answer, error) {
	var a conformance.Answer
	if op.Username != nil && *op.Username == "" || op.Password != nil && *op.Password == "" {
		return a, unsupported("there is no empty user name or password")
	}
	cfg, err := gomqttConfig(op)
	if err != nil {
		return a, err
	}
	if g.client != nil {
		_ = g.client.Close()
	}
	if op.Clean || op.ID != g.id || g.session == nil {
		g.id, g.session = op.ID, session.NewMemorySession()
	}
	l := g.reports.begin()
	g.life = l
	g.client = gomqtt.New()
	g.client.Session = g.session
	g.client.Callback = func(m *packet.Message, err error) error {
		if err != nil {
			g.reports.down(l, 0, err, true)
			return nil
		}
		g.reports.report(l, conformance.Event{
			Event: "message", Topic: m.Topic, PayloadBase64: m.Payload, QoS: int(m.QOS), Retain: m.Retain,
		})
		return nil
	}
	f, err := g.client.Connect(cfg)
	if err != nil {
		g.client = nil // there is nothing to close
		return a, err
	}
	if err := g.wait(ctx, f); err != nil {
		// The future has the CONNACK of a refusal.
		if code := connackCode(f); code != 0 {
			return a, refusal{error: err, code: int(code)}
		}
		_ = g.client.Close() // the future has timed out, or all is over
		return a, err
	}
	g.reports.up(l, f.SessionPresent())
	a.Present = f.SessionPresent()
	return a, nil
}

// connackCode returns the code of a refusal. Without CONNACK the future panics.
func connackCode(f gomqtt.ConnectFuture) (code packet.ConnackCode) {
	defer func() { _ = recover() }()
	return f.ReturnCode()
}

func gomqttConfig(op conformance.Operation) (*gomqtt.Config, error) {
	u, err := url.Parse(op.URL)
	if err != nil {
		return nil, err
	}
	if op.Username != nil {
		u.User = url.User(*op.Username)
	}
	if op.Password != nil {
		u.User = url.UserPassword(u.User.Username(), *op.Password)
	}
	u.Scheme = strings.Replace(u.Scheme, "mqtt", "tcp", 1)
	cfg := gomqtt.NewConfigWithClientID(u.String(), op.ID)
	cfg.CleanSession = op.Clean
	cfg.KeepAlive = strconv.Itoa(op.KeepAlive) + "s"
	cfg.MaxWriteDelay = 0
	cfg.ValidateSubs = false // the future has the codes
	if w := op.Will; w != nil {
		cfg.WillMessage = &packet.Message{
			Topic: topicOf(w.Topic, w.TopicBase64), Payload: []byte(w.Payload), QOS: packet.QOS(w.QoS), Retain: w.Retain,
		}
	}
	return cfg, nil
}

func (g *gomqttClient) wait(ctx context.Context, f gomqtt.GenericFuture) error {
	done := make(chan error, 1)
	deadline, _ := ctx.Deadline()
	go func() { done <- f.Wait(time.Until(deadline)) }()
	select {
	case err := <-done:
		if errors.Is(err, future.ErrCanceled) {
			// Why it was cancelled comes to the callback.
			select {
			case <-g.life.gone:
				return g.life.err
			case <-time.After(time.Second):
			}
		}
		return err
	case <-g.life.gone:
		return g.life.err
	}
}

func (g *gomqttClient) publish(ctx context.Context, op conformance.Operation) (int, error) {
	if g.client == nil {
		return 0, errNotConnected
	}
	f, err := g.client.Publish(topicOf(op.Topic, op.TopicBase64), payloadOf(op), packet.QOS(op.QoS), op.Retain)
	if err != nil || !op.Wait {
		return 0, err
	}
	return 0, g.wait(ctx, f)
}

func (g *gomqttClient) subscribe(ctx context.Context, op conformance.Operation) ([]int, error) {
	if g.client == nil {
		return nil, errNotConnected
	}
	subs := make([]packet.Subscription, len(op.Filters))
	for i, filter := range filtersOf(op) {
		subs[i] = packet.Subscription{Topic: filter, QOS: packet.QOS(op.Filters[i].QoS)}
	}
	f, err := g.client.SubscribeMultiple(subs)
	if err != nil {
		return nil, err
	}
	if err := g.wait(ctx, f); err != nil {
		return nil, err
	}
	var codes []int
	for _, code := range f.ReturnCodes() {
		codes = append(codes, int(code))
	}
	return codes, nil
}

func (g *gomqttClient) unsubscribe(ctx context.Context, op conformance.Operation) ([]int, error) {
	if g.client == nil {
		return nil, errNotConnected
	}
	f, err := g.client.UnsubscribeMultiple(filtersOf(op))
	if err != nil {
		return nil, err
	}
	return nil, g.wait(ctx, f)
}

func (g *gomqttClient) disconnect(context.Context, conformance.Operation) error {
	if g.client == nil {
		return errNotConnected
	}
	return g.client.Disconnect(time.Second)
}

func (g *gomqttClient) ping(context.Context) error { return unsupported("there is no ping to ask for") }

func (g *gomqttClient) reauthenticate(context.Context) error { return unsupported("there is no AUTH") }

func (g *gomqttClient) reset() {
	g.reports.end()
	if g.client != nil {
		_ = g.client.Close()
	}
	g.client, g.session = nil, nil
}
