package broker

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/authority"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// logged is a logger and what it has written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelError}))
}

// victim is the client whose hooks panic.
const victim = "victim"

// trap is every kind of hook, and panics at one place for one client.
type trap struct{ place string }

func (h trap) spring(place string, peer *Peer) {
	if h.place == place && peer != nil && peer.ClientID == victim {
		panic("trap: " + place)
	}
}

func (h trap) Authenticate(_ context.Context, l *Login) Decision {
	h.spring("authenticate", &l.Peer)
	return Allow()
}

func (h trap) Authorize(_ context.Context, a *Access) Decision {
	place := a.Action.String()
	if a.Topic == "will" && a.Action == PublishAction {
		place = "will"
	}
	h.spring(place, a.Peer)
	return Allow()
}

func (h trap) AuthenticationMethod() string {
	if h.place == "method" {
		panic("trap: method")
	}
	return "TRAP"
}

func (h trap) Begin(l *Login) Exchange {
	if l.Again {
		h.spring("begin again", &l.Peer)
	}
	h.spring("begin", &l.Peer)
	return trapExchange{h, l}
}

type trapExchange struct {
	trap
	login *Login
}

func (x trapExchange) Next(_ context.Context, data []byte) ([]byte, Decision) {
	if x.login.Again {
		x.spring("next again", &x.login.Peer)
	}
	x.spring("next", &x.login.Peer)
	return nil, Allow()
}

func (h trap) Observe(e Event) {
	switch e := e.(type) {
	case Connected:
		h.spring("connected", e.Peer)
	case Disconnected:
		h.spring("disconnected", e.Peer)
	case Refused:
		h.spring("refused", e.Peer)
	case Subscribed:
		h.spring("subscribed", e.Peer)
	case Unsubscribed:
		h.spring("unsubscribed", e.Peer)
	case Published:
		h.spring("published", e.Peer)
		if e.Peer == nil && h.place == "program" {
			panic("trap: program")
		}
	}
}

func trapConfig(place string, l *logged) Config {
	h := trap{place}
	return Config{
		Logger: l.logger(), Authenticators: []Authenticator{h}, EnhancedAuthenticators: []EnhancedAuthenticator{h},
		Authorizers: []Authorizer{h}, Observers: []Observer{h},
	}
}

// others checks that a broker serves its other clients as if nothing had happened.
func others(t *testing.T, b *Broker, watcher *script) {
	t.Helper()
	s := clean(t, b, "another")
	s.send(&wire.Publish{Topic: "watched", Payload: []byte("on"), QoS: 1, PacketID: 1})
	require.Equal(t, wire.Success, receive[*wire.Puback](s).ReasonCode)
	require.Equal(t, "on", string(receive[*wire.Publish](watcher).Payload))
	require.NotEmpty(t, b.Clients())
	require.True(t, b.Disconnect("another", wire.AdministrativeAction))
}

func TestAHookThatPanicsDuringALogin(t *testing.T) {
	for place, method := range map[string]string{"authenticate": "", "method": "TRAP", "begin": "TRAP", "next": "TRAP", "refused": "OTHER"} {
		for _, v := range versions {
			if v < wire.V5 && method != "" {
				continue
			}
			var l logged
			run(t, trapConfig(place, &l), func(t *testing.T, b *Broker) {
				watcher := clean(t, b, "watcher")
				watcher.subscribe(filter("watched", 0))
				s := dial(t, b, v)
				s.send(&wire.Connect{ClientID: victim, CleanStart: true, AuthenticationMethod: method})
				if v == wire.V5 {
					want := wire.ImplementationSpecificError
					if place == "refused" || place == "method" {
						want = wire.BadAuthenticationMethod
					}
					require.Equal(t, want, receive[*wire.Connack](s).ReasonCode, place)
				}
				s.closed()
				synctest.Wait()
				others(t, b, watcher)
				require.Contains(t, l.String(), "trap: "+place)
				require.Contains(t, l.String(), "hooks_call_test.go", "the stack")
			})
		}
	}
}

func TestAHookThatPanicsLater(t *testing.T) {
	subscribe := func(s *script) {
		s.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter("watched", 1)}})
	}
	for place, provoke := range map[string]func(s *script){
		"publish": func(s *script) {
			s.send(&wire.Publish{Topic: "watched", QoS: 1, PacketID: 1, Payload: []byte("lost"), Retain: true})
		},
		"subscribe":    subscribe,
		"connected":    func(*script) {},
		"subscribed":   subscribe,
		"unsubscribed": func(s *script) { subscribe(s); s.send(&wire.Unsubscribe{PacketID: 1, Filters: []string{"watched"}}) },
		"published":    func(s *script) { s.send(&wire.Publish{Topic: "elsewhere", QoS: 2, PacketID: 1}) },
		"begin again": func(s *script) {
			s.send(&wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: "TRAP"})
		},
		"next again": func(s *script) {
			s.send(&wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: "TRAP"})
		},
	} {
		for _, v := range versions {
			again := place == "begin again" || place == "next again"
			if v < wire.V5 && again {
				continue
			}
			for _, durable := range []bool{false, true} {
				var l logged
				cfg := trapConfig(place, &l)
				if durable {
					cfg.Store = store.Memory()
				}
				run(t, cfg, func(t *testing.T, b *Broker) {
					watcher := clean(t, b, "watcher")
					watcher.subscribe(filter("watched", 0))
					connect := durableConnect(v, victim)
					if again {
						connect.AuthenticationMethod = "TRAP"
					}
					s, _ := join(t, b, v, connect)
					provoke(s)
					var last wire.Packet
					for p, err := s.next(); err == nil; p, err = s.next() {
						last = p
					}
					if v == wire.V5 {
						require.IsType(t, &wire.Disconnect{}, last, place)
						require.Equal(t, wire.ImplementationSpecificError, last.(*wire.Disconnect).ReasonCode)
					}
					synctest.Wait()
					require.False(t, clientInfo(t, b, victim).Connected, place)
					watcher.idle()
					require.Zero(t, b.Stats().Retained)
					others(t, b, watcher)
					require.Contains(t, l.String(), "trap: "+place)
				})
			}
		}
	}
}

func clientInfo(t *testing.T, b *Broker, id string) ClientInfo {
	t.Helper()
	for _, info := range b.Clients() {
		if info.Peer.ClientID == id {
			return info
		}
	}
	require.Fail(t, "no such client", id)
	return ClientInfo{}
}

func TestAHookThatPanicsWhenNobodyIsThere(t *testing.T) {
	for _, place := range []string{"will", "published", "disconnected", "program"} {
		for _, delay := range []uint32{0, 10} {
			var l logged
			cfg := trapConfig(place, &l)
			cfg.Store = store.Memory()
			run(t, cfg, func(t *testing.T, b *Broker) {
				watcher := clean(t, b, "watcher")
				watcher.subscribe(filter("watched", 0), filter("will", 0))
				s, _ := join(t, b, wire.V5, &wire.Connect{
					ClientID: victim, SessionExpiryInterval: 60,
					Will: &wire.Will{Topic: "will", Payload: []byte("gone"), DelayInterval: delay},
				})
				s.cut()
				advance(11e9)
				if place == "will" {
					watcher.idle()
				} else {
					require.Equal(t, "gone", string(receive[*wire.Publish](watcher).Payload))
				}
				require.NoError(t, b.Publish(message0("watched", "program")))
				require.Equal(t, "program", string(receive[*wire.Publish](watcher).Payload))
				synctest.Wait()
				others(t, b, watcher)
				require.Contains(t, l.String(), "trap: "+place)
			})
		}
	}
}

func TestAHookThatPanicsAtTheStart(t *testing.T) {
	var l logged
	st := store.Memory()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Store: st})
		s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: victim, SessionExpiryInterval: 60, Will: &wire.Will{Topic: "will", DelayInterval: 1}})
		s.cut()
		require.NoError(t, b.Close())
		cfg := trapConfig("will", &l)
		cfg.Store = st
		b = New(cfg)
		advance(2e9)
		require.Contains(t, l.String(), "trap: will")
		watcher := clean(t, b, "watcher")
		watcher.subscribe(filter("watched", 0))
		others(t, b, watcher)
		require.NoError(t, b.Close())
	})
}

func TestAFunctionOfTLSThatPanics(t *testing.T) {
	var l logged
	certificate := authority.SelfSigned(t, "localhost")
	first := true
	b := New(Config{Logger: l.logger(), TLS: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if first {
			first = false
			panic("trap: certificate")
		}
		return &certificate, nil
	}}})
	defer b.Close()
	addr, err := b.Listen(t.Context(), "tls", "127.0.0.1:0")
	require.NoError(t, err)
	secure := &tls.Config{InsecureSkipVerify: true}
	_, err = tls.Dial("tcp", addr.String(), secure)
	require.Error(t, err)
	require.Contains(t, l.String(), "trap: certificate")
	var nc net.Conn
	nc, err = tls.Dial("tcp", addr.String(), secure)
	require.NoError(t, err)
	require.NoError(t, nc.Close())
}
