package conformancetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest/conformance"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

// Client is this project's client as the suite drives it.
type Client struct {
	events chan conformance.Event

	mu      sync.Mutex // guards what follows
	current *session   // nil: none
}

// session is one mqtt.Client.
type session struct {
	*mqtt.Client
	ctx     context.Context // ends with the client
	end     context.CancelFunc
	running sync.WaitGroup
	owner   *Client
	subs    []*mqtt.Subscription
	filters []string // the first filter of each
}

// Open returns a client for the suite.
func Open(context.Context) (conformance.Client, error) {
	return &Client{events: make(chan conformance.Event, 10_000)}, nil
}

// Hello implements conformance.Client.
func (c *Client) Hello() conformance.Hello {
	return conformance.Hello{
		Name: "mqtt", Library: "github.com/seed65a45251/mqtt", Versions: []int{3, 4, 5},
		Transports: []string{"mqtt", "ws"}, Features: []string{"reconnect"},
	}
}

// Events implements conformance.Client.
func (c *Client) Events() <-chan conformance.Event { return c.events }

// Close implements conformance.Client.
func (c *Client) Close() error {
	c.reset()
	return nil
}

// reset ends the client that there is.
func (c *Client) reset() {
	c.mu.Lock()
	s := c.current
	c.current = nil
	c.mu.Unlock()
	if s != nil {
		s.end()
		_ = s.Client.Close()
		s.running.Wait()
	}
}

// Do implements conformance.Client.
func (c *Client) Do(ctx context.Context, op conformance.Operation) (conformance.Answer, error) {
	switch op.Op {
	case "connect":
		return c.connect(ctx, op), nil
	case "reset":
		c.reset()
		return conformance.Answer{OK: true}, nil
	}
	c.mu.Lock()
	s := c.current
	c.mu.Unlock()
	if s == nil {
		return failure(mqtt.ErrNotConnected), nil
	}
	switch op.Op {
	case "publish":
		return s.publish(ctx, op), nil
	case "subscribe":
		return s.subscribe(ctx, op), nil
	case "unsubscribe":
		return s.unsubscribe(ctx, op), nil
	case "ping":
		_, err := s.Ping(ctx)
		return failure(err), nil
	case "reauthenticate":
		return failure(s.Reauthenticate(ctx)), nil
	case "disconnect":
		return s.disconnect(ctx, op), nil
	}
	return unsupported("no such operation"), nil
}

func (c *Client) connect(ctx context.Context, op conformance.Operation) conformance.Answer {
	c.reset()
	client, err := mqtt.Connect(ctx, op.URL, config(op))
	if err != nil {
		return failure(err)
	}
	s := &session{Client: client, owner: c}
	s.ctx, s.end = context.WithCancel(context.Background())
	c.mu.Lock()
	c.current = s
	c.mu.Unlock()
	watched := client.Watch(s.ctx)
	s.running.Go(func() { s.watch(watched) })
	info := client.ServerInfo()
	properties := &conformance.Properties{
		ReasonString: info.ReasonString, ResponseInformation: info.ResponseInformation,
		UserProperties: pairs(info.UserProperties),
	}
	if info.ClientID != op.ID {
		properties.AssignedID = info.ClientID
	}
	return conformance.Answer{OK: true, Present: info.SessionPresent, Properties: properties}
}

// watch reports the beginning and end of connections.
func (s *session) watch(events <-chan mqtt.Event) {
	connected := true
	for e := range events {
		switch {
		case e.State == mqtt.Connected && e.Err == nil && !connected:
			connected = true
			s.report(conformance.Event{Event: "connected", Present: e.Session == mqtt.SessionResumed})
		case e.State != mqtt.Connected && connected:
			connected = false
			a := failure(e.Err)
			s.report(conformance.Event{Event: "disconnected", Code: a.Code, Error: a.Error, Properties: a.Properties})
		}
	}
}

func (s *session) report(e conformance.Event) {
	select {
	case s.owner.events <- e:
	case <-s.ctx.Done():
	}
}

// config returns the settings that the operation asks for.
func config(op conformance.Operation) mqtt.Config {
	cfg := mqtt.Config{
		Version: mqtt.Version(op.Version), ClientID: op.ID, Resume: !op.Clean && (op.ID != "" || op.Version < 5),
		SessionExpiry: seconds(op.Expiry), KeepAlive: time.Duration(op.KeepAlive) * time.Second,
		ReceiveMaximum: uint16(op.ReceiveMaximum), MaximumPacketSize: uint32(op.MaximumPacketSize),
		TopicAliasMaximum: uint16(op.TopicAliasMaximum), UserProperties: properties(op.UserProperties),
		RequestResponseInformation: op.RequestResponseInformation, NoProblemInformation: op.NoProblemInformation,
		Reconnect: reconnect.Policy{Min: 10 * time.Millisecond, Max: 50 * time.Millisecond},
	}
	if op.AutoAlias {
		cfg.SendTopicAliases = 100
	}
	if op.ID == "" {
		cfg.ClientID = mqtt.Empty
	}
	if op.Expiry == 0 {
		cfg.SessionExpiry = -1
	}
	if op.KeepAlive == 0 {
		cfg.KeepAlive = -1
	}
	if op.Username != nil {
		cfg.Username = orEmpty(*op.Username)
	}
	if op.Password != nil {
		cfg.Password = mqtt.Secret(orEmpty(*op.Password))
	}
	if op.Will != nil {
		cfg.Will = &mqtt.Will{DelayInterval: seconds(op.Will.Delay), Message: message(conformance.Operation{
			Topic: op.Will.Topic, TopicBase64: op.Will.TopicBase64, Payload: op.Will.Payload,
			QoS: op.Will.QoS, Retain: op.Will.Retain, Properties: op.Will.Properties,
		})}
	}
	if op.Auth != nil {
		cfg.Authenticator = echo{*op.Auth}
	}
	if !op.Reconnect {
		cfg.Permanent = func(error) bool { return true }
	}
	return cfg
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

func orEmpty(text string) string {
	if text == "" {
		return mqtt.Empty
	}
	return text
}

// message returns the message of a publish.
func message(op conformance.Operation) mqtt.Message {
	m := mqtt.Message{Topic: op.Topic, Payload: []byte(op.Payload), QoS: mqtt.QoS(op.QoS), Retain: op.Retain}
	if op.TopicBase64 != nil {
		m.Topic = string(op.TopicBase64)
	}
	if op.PayloadBase64 != nil {
		m.Payload = op.PayloadBase64
	}
	if p := op.Properties; p != nil {
		m.PayloadFormatUTF8 = p.PayloadFormat != nil && *p.PayloadFormat == 1
		m.ContentType, m.ResponseTopic, m.CorrelationData = p.ContentType, p.ResponseTopic, p.Correlation
		m.UserProperties = properties(p.UserProperties)
		if p.MessageExpiry != nil {
			m.MessageExpiryInterval = new(seconds(*p.MessageExpiry))
		}
	}
	return m
}

func properties(all [][2]string) (p []mqtt.UserProperty) {
	for _, one := range all {
		p = append(p, mqtt.UserProperty{Name: one[0], Value: one[1]})
	}
	return p
}

func pairs(all []mqtt.UserProperty) (p [][2]string) {
	for _, one := range all {
		p = append(p, [2]string{one.Name, one.Value})
	}
	return p
}

// failure returns the answer for an error; nil is success.
func failure(err error) conformance.Answer {
	if err == nil {
		return conformance.Answer{OK: true}
	}
	a := conformance.Answer{Error: err.Error()}
	if code, ok := errors.AsType[mqtt.ReasonCode](err); ok {
		a.Code = int(code)
	}
	if e, ok := errors.AsType[*mqtt.ServerError](err); ok {
		a.Code = int(e.ReasonCode)
		a.Properties = &conformance.Properties{
			ReasonString: e.ReasonString, ServerReference: e.ServerReference, UserProperties: pairs(e.UserProperties),
		}
	}
	return a
}

func unsupported(format string, arguments ...any) conformance.Answer {
	return conformance.Answer{Unsupported: true, Error: fmt.Sprintf(format, arguments...)}
}

func (s *session) publish(ctx context.Context, op conformance.Operation) conformance.Answer {
	if p := op.Properties; p != nil && (p.Alias != nil || len(p.SubscriptionIdentifiers) > 0 || p.PayloadFormat != nil && *p.PayloadFormat > 1) {
		return unsupported("a message has no such property")
	}
	m := message(op)
	d, err := s.PublishAsync(ctx, &m)
	if err != nil || !op.Wait {
		return failure(err)
	}
	ack, err := d.Wait(ctx)
	a := failure(err)
	if err == nil {
		a.Code = int(ack.ReasonCode)
		a.Properties = &conformance.Properties{ReasonString: ack.ReasonString, UserProperties: pairs(ack.UserProperties)}
	}
	return a
}

func (s *session) subscribe(ctx context.Context, op conformance.Operation) conformance.Answer {
	var o mqtt.SubscribeOptions
	for _, f := range op.Filters {
		filter := mqtt.Filter{
			Filter: f.Filter, QoS: mqtt.QoS(f.QoS), NoLocal: f.NoLocal,
			RetainAsPublished: f.RetainAsPublished, RetainHandling: mqtt.RetainHandling(f.RetainHandling),
		}
		if f.FilterBase64 != nil {
			filter.Filter = string(f.FilterBase64)
		}
		o.Filters = append(o.Filters, filter)
	}
	sub, err := s.SubscribeWith(ctx, o)
	a := failure(err)
	if sub == nil {
		return a
	}
	for _, ack := range sub.Answers() {
		a.Codes = append(a.Codes, int(ack.ReasonCode))
	}
	s.subs, s.filters = append(s.subs, sub), append(s.filters, o.Filters[0].Filter)
	s.running.Go(func() {
		_ = sub.Handle(s.ctx, func(_ context.Context, m *mqtt.Message) error {
			s.report(received(m))
			return nil
		})
	})
	return a
}

// received returns the event for a message.
func received(m *mqtt.Message) conformance.Event {
	p := &conformance.Properties{
		ContentType: m.ContentType, ResponseTopic: m.ResponseTopic, Correlation: m.CorrelationData,
		UserProperties: pairs(m.UserProperties),
	}
	if m.PayloadFormatUTF8 {
		p.PayloadFormat = new(1)
	}
	if m.MessageExpiryInterval != nil {
		p.MessageExpiry = new(uint32(*m.MessageExpiryInterval / time.Second))
	}
	for _, id := range m.SubscriptionIDs {
		p.SubscriptionIdentifiers = append(p.SubscriptionIdentifiers, int(id))
	}
	return conformance.Event{
		Event: "message", Topic: m.Topic, PayloadBase64: m.Payload,
		QoS: int(m.QoS), Retain: m.Retain, Dup: m.Duplicate, Properties: p,
	}
}

// unsubscribe ends the Subscription with that filter, if there is one.
func (s *session) unsubscribe(ctx context.Context, op conformance.Operation) conformance.Answer {
	if len(op.Filters) > 0 {
		if i := slices.Index(s.filters, op.Filters[0].Filter); i >= 0 {
			return failure(s.subs[i].Unsubscribe(ctx))
		}
	}
	var o mqtt.UnsubscribeOptions
	for _, f := range op.Filters {
		o.Filters = append(o.Filters, f.Filter)
	}
	acks, err := s.UnsubscribeWith(ctx, o)
	a := failure(err)
	for _, ack := range acks {
		a.Codes = append(a.Codes, int(ack.ReasonCode))
	}
	return a
}

func (s *session) disconnect(ctx context.Context, op conformance.Operation) conformance.Answer {
	o := mqtt.DisconnectOptions{ReasonCode: wire.ReasonCode(op.Code)}
	if op.Expiry != 0 {
		o.SessionExpiry = new(seconds(op.Expiry))
	}
	return failure(s.DisconnectWith(ctx, o))
}

// echo is an Authenticator that answers as the suite wants it.
type echo struct{ auth conformance.Auth }

// Method implements mqtt.Authenticator.
func (e echo) Method() string { return e.auth.Method }

// Start implements mqtt.Authenticator.
func (e echo) Start(context.Context) (mqtt.AuthExchange, []byte, error) {
	return echoing{}, e.auth.Data, nil
}

type echoing struct{}

// Continue implements mqtt.AuthExchange.
func (echoing) Continue(_ context.Context, challenge []byte) ([]byte, error) {
	return append([]byte("re:"), challenge...), nil
}

// Finish implements mqtt.AuthExchange.
func (echoing) Finish(context.Context, []byte) error { return nil }
