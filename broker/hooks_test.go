package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

func TestFirstDecisionWins(t *testing.T) {
	var asked []string
	hook := func(name string, d Decision) Authenticator {
		return AuthenticatorFunc(func(context.Context, *Login) Decision {
			asked = append(asked, name)
			return d
		})
	}
	for _, test := range []struct {
		name  string
		hooks []Authenticator
		asked []string
		want  wire.ReasonCode
	}{
		{"none", nil, nil, wire.Success},
		{"yes", []Authenticator{hook("a", Pass()), hook("b", Allow()), hook("c", Deny(wire.Banned, ""))}, []string{"a", "b"}, wire.Success},
		{"no", []Authenticator{hook("a", Deny(wire.Banned, "")), hook("b", Allow())}, []string{"a"}, wire.Banned},
		{"nobody decides", []Authenticator{hook("a", Pass()), hook("b", Pass())}, []string{"a", "b"}, wire.NotAuthorized},
		{"a success is no reason", []Authenticator{hook("a", Deny(wire.Success, ""))}, []string{"a"}, wire.NotAuthorized},
		{"a reason of other packets", []Authenticator{hook("a", Deny(wire.KeepAliveTimeout, ""))}, []string{"a"}, wire.NotAuthorized},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked = nil
			run(t, Config{Authenticators: test.hooks}, func(t *testing.T, b *Broker) {
				s := dial(t, b, wire.V5)
				s.send(&wire.Connect{ClientID: "c"})
				require.Equal(t, test.want, receive[*wire.Connack](s).ReasonCode)
				require.Equal(t, test.asked, asked)
			})
		})
	}
}

func TestReasonThatIsNoTextIsLeftOut(t *testing.T) {
	cfg := Config{Authenticators: []Authenticator{AuthenticatorFunc(func(context.Context, *Login) Decision {
		return Deny(wire.Banned, "\xff")
	})}}
	run(t, cfg, func(t *testing.T, b *Broker) {
		s := dial(t, b, wire.V5)
		s.send(&wire.Connect{ClientID: "c"})
		s.want(&wire.Connack{ReasonCode: wire.Banned})
	})
}

func TestClientIsSentToAnotherServer(t *testing.T) {
	cfg := Config{Authenticators: []Authenticator{AuthenticatorFunc(func(context.Context, *Login) Decision {
		return Redirect(wire.ServerMoved, "other:1883")
	})}}
	run(t, cfg, func(t *testing.T, b *Broker) {
		for _, test := range []struct {
			connect wire.Connect
			version wire.Version
			want    wire.Connack
		}{
			{wire.Connect{}, wire.V5, wire.Connack{ReasonCode: wire.ServerMoved, ServerReference: "other:1883"}},
			{wire.Connect{RequestProblemInformation: new(false)}, wire.V5, wire.Connack{ReasonCode: wire.ServerMoved, ServerReference: "other:1883"}},
			{wire.Connect{MaximumPacketSize: 12}, wire.V5, wire.Connack{ReasonCode: wire.ServerMoved}},
			{wire.Connect{}, wire.V311, wire.Connack{ReasonCode: wire.NotAuthorized}},
		} {
			s := dial(t, b, test.version)
			test.connect.ClientID, test.connect.CleanStart = "c", true
			s.send(&test.connect)
			s.want(&test.want)
			s.closed()
		}
	})
}

func TestAuthenticatorSeesTheClient(t *testing.T) {
	var seen Login
	cfg := Config{Authenticators: []Authenticator{AuthenticatorFunc(func(_ context.Context, l *Login) Decision {
		seen = *l
		l.Username = "found out"
		return Allow()
	})}}
	run(t, cfg, func(t *testing.T, b *Broker) {
		join(t, b, wire.V311, &wire.Connect{ClientID: "c", CleanStart: true, Username: new("u"), Password: []byte("p")})
		require.Equal(t, "c", seen.ClientID)
		require.Equal(t, "u", seen.Username)
		require.Equal(t, "p", string(seen.Password))
		require.Equal(t, wire.V311, seen.Version)
		require.Equal(t, "memory", seen.RemoteAddr.String())
		require.Equal(t, "found out", b.clients["c"].conn.(*conn).peer.Username)
	})
}

func TestAuthorizersBoundTheQoS(t *testing.T) {
	cfg := Config{Authorizers: []Authorizer{AuthorizerFunc(func(_ context.Context, a *Access) Decision {
		require.Equal(t, a.Action == PublishAction, a.Message != nil)
		return AllowUpTo(wire.AtLeastOnce)
	})}}
	run(t, cfg, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter("a", 0), filter("b", 1), filter("c", 2)}})
		s.want(&wire.Suback{PacketID: 1, ReasonCodes: []wire.ReasonCode{0, 1, 1}})
		s.send(&wire.Publish{Topic: "x", QoS: 1, PacketID: 1}, &wire.Publish{Topic: "x", QoS: 2, PacketID: 2})
		s.want(&wire.Puback{PacketID: 1, ReasonCode: wire.NoMatchingSubscribers})
		require.Equal(t, wire.NotAuthorized, receive[*wire.Pubrec](s).ReasonCode)
	})
}

func TestAuthorizerSeesTheFilterOfASharedSubscription(t *testing.T) {
	for _, v := range versions {
		var topic string
		cfg := Config{Authorizers: []Authorizer{AuthorizerFunc(func(_ context.Context, a *Access) Decision {
			topic = a.Topic
			return Allow()
		})}}
		run(t, cfg, func(t *testing.T, b *Broker) {
			s, _ := join(t, b, v, &wire.Connect{ClientID: "c", CleanStart: true})
			s.subscribe(filter("$share/g/a/+", 0))
			want := "$share/g/a/+" // an ordinary filter before 5.0
			if v == wire.V5 {
				want = "a/+"
			}
			require.Equal(t, want, topic)
		})
	}
}

func TestClientsDoNotPublishOnTopicsOfTheServer(t *testing.T) {
	for _, v := range versions {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			watcher := clean(t, b, "w")
			watcher.subscribe(filter("$SYS/x", 0), filter("$other", 0))
			s, _ := join(t, b, v, &wire.Connect{ClientID: "c", CleanStart: true, Will: &wire.Will{Topic: "$SYS/x", Retain: true}})
			s.send(retain("$SYS/x", "x"), message0("$other", "x"), &wire.Publish{Topic: "$SYS/x", QoS: 1, PacketID: 1})
			ack := receive[*wire.Puback](s)
			require.Equal(t, v == wire.V5, ack.ReasonCode == wire.NotAuthorized)
			s.cut()
			watcher.idle()
			require.Equal(t, uint64(4), b.Stats().Denied)
			require.Zero(t, b.Stats().Retained)
		})
	}
}

// recorder notes events as text.
type recorder struct {
	mu     sync.Mutex
	events []string
}

func (r *recorder) Observe(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := e.(type) {
	case Connected:
		r.events = append(r.events, fmt.Sprint("connected ", e.Peer.ClientID, e.Resumed))
	case Disconnected:
		r.events = append(r.events, fmt.Sprintf("disconnected %s: %v", e.Peer.ClientID, e.Reason))
	case Refused:
		r.events = append(r.events, fmt.Sprintf("refused: %v", e.Reason))
	case Subscribed:
		r.events = append(r.events, fmt.Sprint("subscribed ", e.Peer.ClientID, e.Filter, e.QoS))
	case Unsubscribed:
		r.events = append(r.events, fmt.Sprint("unsubscribed ", e.Peer.ClientID, e.Filter))
	case Published:
		who := "program"
		if e.Peer != nil {
			who = e.Peer.ClientID
		}
		r.events = append(r.events, fmt.Sprintf("published %s %s %v", who, e.Message.Topic, e.ReasonCode))
	}
}

func TestObserversAreToldWhatHappens(t *testing.T) {
	r := new(recorder)
	cfg := Config{Observers: []Observer{r, ObserverFunc(func(Event) {})}, SubscriptionsPerClient: 1}
	run(t, cfg, func(t *testing.T, b *Broker) {
		s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "c", Will: &wire.Will{Topic: "will"}})
		s.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter("a", 1), filter("b", 0)}})
		receive[*wire.Suback](s)
		s.send(message0("a", "x"))
		receive[*wire.Publish](s)
		s.send(&wire.Unsubscribe{PacketID: 2, Filters: []string{"a", "b"}})
		receive[*wire.Unsuback](s)
		synctest.Wait() // the broker tells of it behind the answer, and of ours on this goroutine
		require.NoError(t, b.Publish(message0("a", "y")))
		s.send(&wire.Disconnect{ReasonCode: wire.DisconnectWithWill})
		s.closed()
		synctest.Wait()
		s = dial(t, b, wire.V5)
		s.send(&wire.Pingreq{})
		s.closed()
		synctest.Wait()
		require.Equal(t, []string{
			"connected cfalse",
			"subscribed ca1",
			"published c a success (0x00)",
			"unsubscribed ca",
			"published program a no matching subscribers (0x10)",
			"published c will no matching subscribers (0x10)",
			"disconnected c: client disconnected: disconnect with will message (0x04)",
			"refused: PINGREQ: before CONNECT: protocol error (0x82)",
		}, r.events)
	})
}

// farListener is one that other machines can reach.
type farListener struct{ net.Listener }

func (farListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1883} }

type farConn struct{ net.Conn }

func (farConn) LocalAddr() net.Addr { return farListener{}.Addr() }

func TestOnlyAllowAllOpensTheBrokerToOtherMachines(t *testing.T) {
	serve := func(t *testing.T, b *Broker) error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return b.Serve(ctx, farListener{pipe.Listen(0)})
	}
	for name, test := range map[string]struct {
		cfg  Config
		want error
	}{
		"nobody decides": {Config{}, ErrOpen},
		"asked for":      {Config{Authenticators: []Authenticator{AllowAll{}}}, nil},
		"a method":       {Config{EnhancedAuthenticators: []EnhancedAuthenticator{tokens{"M"}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, test.cfg, func(t *testing.T, b *Broker) {
				require.ErrorIs(t, serve(t, b), test.want)
				near, far := pipe.New(0)
				near.Close()
				require.ErrorIs(t, b.ServeConn(farConn{far}), test.want)
			})
		})
	}
	b := New(Config{})
	defer b.Close()
	_, err := b.Listen(t.Context(), "tcp", "0.0.0.0:0")
	require.True(t, errors.Is(err, ErrOpen), "%v", err)
}
