package broker

import (
	"context"
	"io"
	"testing"

	"github.com/seed65a45251/mqtt/wire"
)

// FuzzServeConn feeds a connection with any bytes, as they are or after a CONNECT.
// The broker may close it, but has to be done with it when the bytes end; others
// must not suffer, and what remains must be within the limits.
func FuzzServeConn(f *testing.F) {
	for _, v := range clientVectors(f) {
		before := uint8(v.version())
		if v.Packet == "CONNECT" {
			before = 0
		}
		f.Add(before, v.bytes(f))
	}
	cfg := Config{
		MaximumPacketSize: 1 << 16, SubscriptionsPerClient: 20, TopicLevels: 20, Inflight: 4,
		QueuedMessages: 10, QueuedBytes: 1 << 16, RetainedMessages: 10, RetainedBytes: 1 << 16, Sessions: 3, ReceiveMaximum: 4,
		Authenticators: []Authenticator{AllowAll{}}, EnhancedAuthenticators: []EnhancedAuthenticator{tokens{"M"}},
		Authorizers: []Authorizer{AuthorizerFunc(func(_ context.Context, a *Access) Decision { return AllowUpTo(a.QoS) })},
		Observers:   []Observer{ObserverFunc(func(Event) {})},
	}
	f.Fuzz(func(t *testing.T, before uint8, input []byte) {
		b := New(cfg)
		defer b.Close()
		fuzzed := dial(t, b, wire.V5)
		go io.Copy(io.Discard, fuzzed.net) // does not wait for anything
		input = append(greeting(t, before), input...)
		for len(input) > 0 { // the broker may close in between
			n := min(len(input), 1000)
			if _, err := fuzzed.net.Write(input[:n]); err != nil {
				break
			}
			input = input[n:]
		}
		if err := fuzzed.net.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		for _, c := range b.openConns(nil) {
			<-c.signals.gone
		}
		wantWithinLimits(t, b)
		other := overSocket(t, dial(t, b, wire.V311).net, wire.V311)
		other.send(&wire.Connect{ClientID: "other", CleanStart: true}, &wire.Pingreq{})
		other.want(&wire.Connack{}, &wire.Pingresp{})
	})
}

// greeting returns a CONNECT of this version, or of 5.0 with a method for
// something else, or nothing for 0.
func greeting(t *testing.T, version uint8) []byte {
	connect, v := &wire.Connect{ClientID: "c1"}, wire.Version(version)
	switch v {
	case 0:
		return nil
	case wire.V31, wire.V311:
	case wire.V5:
		connect.SessionExpiryInterval, connect.TopicAliasMaximum = 100, 2
	default:
		connect.AuthenticationMethod, connect.AuthenticationData, v = "M", []byte("x"), wire.V5
	}
	b, err := connect.Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantWithinLimits(t *testing.T, b *Broker) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	cfg := &b.cfg
	if len(b.conns) > 0 || len(b.clients) > cfg.Sessions {
		t.Fatalf("%d connections and %d sessions", len(b.conns), len(b.clients))
	}
	if b.retained.topics.Len() > cfg.RetainedMessages || b.retained.bytes > cfg.RetainedBytes || b.retained.bytes < 0 {
		t.Fatalf("%d retained messages, %d bytes", b.retained.topics.Len(), b.retained.bytes)
	}
	places := 0
	for _, cl := range b.clients {
		places += len(cl.subscriptions)
		if h := cl.held; h.messages > cfg.QueuedMessages || h.bytes > cfg.QueuedBytes || h.messages < 0 || h.bytes < 0 {
			t.Fatalf("%d messages wait, %d bytes", h.messages, h.bytes)
		}
		if cl.conn != nil || cl.link.Pending() > 0 || len(cl.subscriptions) > cfg.SubscriptionsPerClient {
			t.Fatalf("%d bytes pending, %d subscriptions", cl.link.Pending(), len(cl.subscriptions))
		}
	}
	if b.routes.Len() != places {
		t.Fatalf("%d subscriptions, %d routes", places, b.routes.Len())
	}
}
