package main

import (
	"context"
	"errors"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// pahoMQTT is github.com/eclipse/paho.mqtt.golang.
type pahoMQTT struct {
	reports *reports
	client  paho.Client
	life    *life
	id      string
	store   paho.Store // of the session of id
}

func newPahoMQTT() *client {
	return newClient(conformance.Hello{
		Name: "paho.mqtt.golang", Library: version("github.com/eclipse/paho.mqtt.golang"),
		Versions: []int{3, 4}, Transports: []string{"mqtt", "ws"}, Features: []string{"reconnect"},
	}, func(r *reports) library { return &pahoMQTT{reports: r} })
}

func (p *pahoMQTT) connect(ctx context.Context, op conformance.Operation) (conformance.Answer, error) {
	var a conformance.Answer
	// It takes an empty user name for none, and sends a password only with a user name.
	if op.Username != nil && *op.Username == "" || op.Password != nil && *op.Password == "" {
		return a, unsupported("there is no empty user name or password")
	}
	if p.client != nil {
		p.client.Disconnect(0)
	}
	if op.Clean || op.ID != p.id || p.store == nil {
		p.id, p.store = op.ID, paho.NewOrderedMemoryStore()
	}
	l := p.reports.begin()
	p.life = l
	p.client = paho.NewClient(p.options(l, op))
	t := p.client.Connect()
	err := p.wait(ctx, t)
	connected := t.(*paho.ConnectToken)
	if err != nil {
		return a, refusal{error: err, code: int(connected.ReturnCode())}
	}
	a.Present = connected.SessionPresent()
	return a, nil
}

func (p *pahoMQTT) options(l *life, op conformance.Operation) *paho.ClientOptions {
	opts := paho.NewClientOptions().AddBroker(op.URL).SetClientID(op.ID).
		SetProtocolVersion(uint(op.Version)).SetCleanSession(op.Clean).SetStore(p.store).
		SetKeepAlive(time.Duration(op.KeepAlive) * time.Second).
		SetConnectTimeout(connectTimeout).SetAutoReconnect(op.Reconnect).SetMaxReconnectInterval(time.Second)
	if op.KeepAlive > 0 {
		opts.SetPingTimeout(min(10, time.Duration(op.KeepAlive)) * time.Second)
	}
	if op.Username != nil {
		opts.SetUsername(*op.Username)
	}
	if op.Password != nil {
		opts.SetPassword(*op.Password)
	}
	if w := op.Will; w != nil {
		opts.SetBinaryWill(topicOf(w.Topic, w.TopicBase64), []byte(w.Payload), byte(w.QoS), w.Retain)
	}
	return opts.
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
			p.reports.report(l, conformance.Event{
				Event: "message", Topic: m.Topic(), PayloadBase64: m.Payload(),
				QoS: int(m.Qos()), Retain: m.Retained(), Dup: m.Duplicate(),
			})
		}).
		SetConnectionLostHandler(func(_ paho.Client, err error) { p.reports.down(l, 0, err, !op.Reconnect) }).
		SetOnConnectHandler(func(paho.Client) { p.reports.up(l, false) })
}

// wait waits for a token. Without a session that goes on, nothing completes it when
// the connection is lost.
func (p *pahoMQTT) wait(ctx context.Context, t paho.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-p.life.gone:
		return p.life.err
	case <-ctx.Done():
		return errors.New("no answer from the server")
	}
}

func (p *pahoMQTT) publish(ctx context.Context, op conformance.Operation) (int, error) {
	if p.client == nil {
		return 0, errNotConnected
	}
	t := p.client.Publish(topicOf(op.Topic, op.TopicBase64), byte(op.QoS), op.Retain, payloadOf(op))
	if !op.Wait {
		select {
		case <-t.Done():
			return 0, t.Error()
		default:
			return 0, nil
		}
	}
	return 0, p.wait(ctx, t)
}

func (p *pahoMQTT) subscribe(ctx context.Context, op conformance.Operation) ([]int, error) {
	if p.client == nil {
		return nil, errNotConnected
	}
	var t paho.Token
	filters := filtersOf(op)
	if len(filters) == 1 {
		t = p.client.Subscribe(filters[0], byte(op.Filters[0].QoS), nil)
	} else {
		m := make(map[string]byte)
		for i, f := range filters {
			m[f] = byte(op.Filters[i].QoS)
		}
		t = p.client.SubscribeMultiple(m, nil)
	}
	if err := p.wait(ctx, t); err != nil && len(t.(*paho.SubscribeToken).Result()) == 0 {
		return nil, err
	}
	results := t.(*paho.SubscribeToken).Result()
	codes := make([]int, len(filters))
	for i, f := range filters {
		codes[i] = int(results[f])
	}
	return codes, nil
}

func (p *pahoMQTT) unsubscribe(ctx context.Context, op conformance.Operation) ([]int, error) {
	if p.client == nil {
		return nil, errNotConnected
	}
	return nil, p.wait(ctx, p.client.Unsubscribe(filtersOf(op)...))
}

func (p *pahoMQTT) disconnect(context.Context, conformance.Operation) error {
	if p.client == nil {
		return errNotConnected
	}
	p.client.Disconnect(250)
	return nil
}

func (p *pahoMQTT) ping(context.Context) error { return unsupported("there is no ping to ask for") }

func (p *pahoMQTT) reauthenticate(context.Context) error { return unsupported("there is no AUTH") }

func (p *pahoMQTT) reset() {
	p.reports.end()
	if p.client != nil {
		p.client.Disconnect(0)
	}
	p.client, p.store = nil, nil
}
