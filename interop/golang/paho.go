package main

import (
	"context"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/extensions/topicaliases"
	"github.com/eclipse/paho.golang/paho/session"
	"github.com/eclipse/paho.golang/paho/session/state"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// pahoConn is what paho.Client and autopaho.ConnectionManager have in common.
type pahoConn interface {
	Publish(context.Context, *paho.Publish) (*paho.PublishResponse, error)
	Subscribe(context.Context, *paho.Subscribe) (*paho.Suback, error)
	Unsubscribe(context.Context, *paho.Unsubscribe) (*paho.Unsuback, error)
	Authenticate(context.Context, *paho.Auth) (*paho.AuthResponse, error)
}

// pahoV5 is github.com/eclipse/paho.golang, its package paho or its package autopaho.
type pahoV5 struct {
	reports *reports
	auto    bool
	life    *life
	op      conformance.Operation // that connected
	session session.SessionManager
	aliases atomic.Pointer[topicaliases.TAHandler] // of this connection; nil: none

	conn    pahoConn           // nil: not connected
	client  *paho.Client       // of paho
	nc      net.Conn           // of paho
	queue   chan *paho.Publish // of paho: what nobody waits for
	manager *autopaho.ConnectionManager
	cancel  context.CancelFunc // ends the manager, or the queue
	goodbye *paho.Disconnect   // what the manager says at its end; nil: nothing
}

const pahoModule = "github.com/eclipse/paho.golang"

func newPaho() *client {
	return newClient(conformance.Hello{
		Name: "paho.golang", Library: version(pahoModule) + " (paho)",
		Versions: []int{5}, Transports: []string{"mqtt"},
	}, func(r *reports) library { return &pahoV5{reports: r} })
}

func newAutopaho() *client {
	return newClient(conformance.Hello{
		Name: "autopaho", Library: version(pahoModule) + " (autopaho)",
		Versions: []int{5}, Transports: []string{"mqtt", "ws"}, Features: []string{"reconnect"},
	}, func(r *reports) library { return &pahoV5{reports: r, auto: true} })
}

func (p *pahoV5) connect(ctx context.Context, op conformance.Operation) (conformance.Answer, error) {
	p.drop()
	if op.Clean || op.ID != p.op.ID || p.session == nil {
		p.session = state.NewInMemory()
	}
	p.op = op
	l := p.reports.begin()
	p.life = l
	if p.auto {
		return p.manage(ctx, l)
	}
	return p.dial(ctx, l)
}

// dial connects with paho.
func (p *pahoV5) dial(ctx context.Context, l *life) (a conformance.Answer, err error) {
	u, err := url.Parse(p.op.URL)
	if err != nil {
		return a, err
	}
	if p.nc, err = net.Dial("tcp", u.Host); err != nil {
		return a, err
	}
	cfg := p.config(l)
	cfg.Conn = p.nc
	p.client = paho.NewClient(cfg)
	ack, err := p.client.Connect(ctx, pahoConnect(p.op))
	if ack == nil {
		return a, err
	}
	a = connackAnswer(ack)
	if err != nil {
		return a, refusal{error: err, code: a.Code, properties: a.Properties}
	}
	p.conn = p.client
	p.assign(ack)
	p.reports.up(l, ack.SessionPresent)
	p.queue = make(chan *paho.Publish, 100_000)
	life, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go sendAll(life, p.client, p.queue)
	return a, nil
}

// sendAll sends what nobody waits for, in order.
func sendAll(ctx context.Context, c *paho.Client, queue <-chan *paho.Publish) {
	for {
		select {
		case m := <-queue:
			_, _ = c.PublishWithOptions(ctx, m, paho.PublishOptions{Method: paho.PublishMethod_AsyncSend})
		case <-ctx.Done():
			return
		}
	}
}

// manage connects with autopaho.
func (p *pahoV5) manage(ctx context.Context, l *life) (a conformance.Answer, err error) {
	u, err := url.Parse(p.op.URL)
	if err != nil {
		return a, err
	}
	type attempt struct {
		conformance.Answer
		err error
	}
	first := make(chan attempt, 1)
	life, cancel := context.WithCancel(context.Background())
	p.cancel, p.goodbye = cancel, nil
	tell := func(a attempt) {
		select {
		case first <- a:
		default:
		}
	}
	cfg := autopaho.ClientConfig{
		ServerUrls: []*url.URL{u}, KeepAlive: uint16(p.op.KeepAlive),
		CleanStartOnInitialConnection: p.op.Clean, SessionExpiryInterval: p.op.Expiry,
		ReconnectBackoff: func(n int) time.Duration { return time.Duration(min(n, 1)) * 100 * time.Millisecond },
		ConnectTimeout:   connectTimeout,
		ConnectPacketBuilder: func(made *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			c := pahoConnect(p.op)
			c.CleanStart = made.CleanStart
			return c, nil
		},
		DisconnectPacketBuilder: func() *paho.Disconnect { return p.goodbye },
		OnConnectionUp: func(_ *autopaho.ConnectionManager, ack *paho.Connack) {
			p.assign(ack)
			p.reports.up(l, ack.SessionPresent)
			tell(attempt{Answer: connackAnswer(ack)})
		},
		OnConnectionDown: func() bool { return p.op.Reconnect },
		OnConnectError: func(err error) {
			a := attempt{err: err}
			if refused, ok := err.(*autopaho.ConnackError); ok {
				a.err = refusal{
					error: err, code: int(refused.ReasonCode),
					properties: &conformance.Properties{ReasonString: refused.Reason},
				}
			}
			tell(a)
			if !p.op.Reconnect {
				cancel()
			}
		},
		ClientConfig: p.config(l),
	}
	if p.manager, err = autopaho.NewConnection(life, cfg); err != nil {
		return a, err
	}
	select {
	case made := <-first:
		if made.err == nil {
			p.conn = p.manager
		}
		return made.Answer, made.err
	case <-ctx.Done():
		return a, context.Cause(ctx)
	}
}

// assign prepares topic aliases for a connection, as the extension does it.
func (p *pahoV5) assign(ack *paho.Connack) {
	p.aliases.Store(nil)
	if has := ack.Properties; has != nil && has.TopicAliasMaximum != nil && *has.TopicAliasMaximum > 0 {
		p.aliases.Store(topicaliases.NewTAHandler(*has.TopicAliasMaximum))
	}
}

// config returns what both packages have in common.
func (p *pahoV5) config(l *life) paho.ClientConfig {
	cfg := paho.ClientConfig{
		ClientID: p.op.ID, Session: p.session, PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(m paho.PublishReceived) (bool, error) {
			p.reports.report(l, conformance.Event{
				Event: "message", Topic: m.Packet.Topic, PayloadBase64: m.Packet.Payload, QoS: int(m.Packet.QoS),
				Retain: m.Packet.Retain, Dup: m.Packet.Duplicate(), Properties: tellPahoProperties(m.Packet.Properties),
			})
			return true, nil
		}},
		OnServerDisconnect: func(d *paho.Disconnect) {
			p.reports.down(l, int(d.ReasonCode), errDisconnected(d), !p.op.Reconnect)
		},
		OnClientError: func(err error) { p.reports.down(l, 0, err, !p.op.Reconnect) },
	}
	if p.op.AutoAlias {
		cfg.PublishHook = func(m *paho.Publish) {
			if aliases := p.aliases.Load(); aliases != nil {
				aliases.PublishHook(m)
			}
		}
	}
	if p.op.Auth != nil {
		cfg.AuthHandler = pahoAuther{p.op.Auth.Method}
	}
	return cfg
}

func (p *pahoV5) publish(ctx context.Context, op conformance.Operation) (int, error) {
	if p.conn == nil {
		return 0, errNotConnected
	}
	m := pahoPublish(op)
	if !op.Wait {
		if p.auto {
			return 0, p.manager.PublishViaQueue(ctx, &autopaho.QueuePublish{Publish: m})
		}
		p.queue <- m
		return 0, nil
	}
	r, err := p.conn.Publish(p.bound(ctx), m)
	if r == nil {
		return 0, err
	}
	if err != nil {
		return 0, refusal{error: err, code: int(r.ReasonCode)}
	}
	return int(r.ReasonCode), nil
}

// bound ends a context when the connection is lost for good: a publish waits for the
// next one.
func (p *pahoV5) bound(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	l := p.life
	go func() {
		select {
		case <-l.gone:
			cancel(l.err)
		case <-ctx.Done():
		}
	}()
	return ctx
}

func (p *pahoV5) subscribe(ctx context.Context, op conformance.Operation) ([]int, error) {
	if p.conn == nil {
		return nil, errNotConnected
	}
	s := &paho.Subscribe{}
	for i, filter := range filtersOf(op) {
		f := op.Filters[i]
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{
			Topic: filter, QoS: byte(f.QoS), NoLocal: f.NoLocal,
			RetainAsPublished: f.RetainAsPublished, RetainHandling: byte(f.RetainHandling),
		})
	}
	if op.Identifier != 0 {
		s.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: &op.Identifier}
	}
	ack, err := p.conn.Subscribe(p.bound(ctx), s)
	if ack == nil {
		return nil, err
	}
	return codesOf(ack.Reasons), nil
}

func (p *pahoV5) unsubscribe(ctx context.Context, op conformance.Operation) ([]int, error) {
	if p.conn == nil {
		return nil, errNotConnected
	}
	ack, err := p.conn.Unsubscribe(p.bound(ctx), &paho.Unsubscribe{Topics: filtersOf(op)})
	if ack == nil {
		return nil, err
	}
	return codesOf(ack.Reasons), nil
}

func codesOf(reasons []byte) []int {
	codes := make([]int, len(reasons))
	for i, r := range reasons {
		codes[i] = int(r)
	}
	return codes
}

func (p *pahoV5) disconnect(ctx context.Context, op conformance.Operation) error {
	if p.conn == nil {
		return errNotConnected
	}
	d := &paho.Disconnect{ReasonCode: byte(op.Code)}
	if op.Expiry != 0 {
		d.Properties = &paho.DisconnectProperties{SessionExpiryInterval: &op.Expiry}
	}
	p.conn = nil
	if p.auto {
		p.goodbye = d
		return p.manager.Disconnect(ctx)
	}
	return p.client.Disconnect(d)
}

func (p *pahoV5) ping(context.Context) error { return unsupported("there is no ping to ask for") }

func (p *pahoV5) reauthenticate(ctx context.Context) error {
	if p.conn == nil {
		return errNotConnected
	}
	if p.op.Auth == nil {
		return unsupported("the application sends the AUTH packet itself, and has no method")
	}
	_, err := p.conn.Authenticate(p.bound(ctx), &paho.Auth{
		ReasonCode: 0x19,
		Properties: &paho.AuthProperties{AuthMethod: p.op.Auth.Method, AuthData: p.op.Auth.Data},
	})
	return err
}

// drop ends the connection without DISCONNECT.
func (p *pahoV5) drop() {
	p.reports.end()
	p.conn, p.goodbye = nil, nil
	if p.cancel != nil {
		p.cancel()
	}
	if p.nc != nil {
		_ = p.nc.Close()
	}
	if p.manager != nil {
		select {
		case <-p.manager.Done():
		case <-time.After(time.Second):
		}
	}
	p.manager, p.nc, p.cancel = nil, nil, nil
}

func (p *pahoV5) reset() {
	p.drop()
	p.session = nil
}
