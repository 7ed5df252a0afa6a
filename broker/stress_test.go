package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// TestEverythingAtOnce lets clients fight for identifiers, subscribe, publish and
// die while the program interferes. The race detector and Close are the judges.
func TestEverythingAtOnce(t *testing.T) {
	b := New(Config{QueuedMessages: 50, RetainedMessages: 5, SessionExpiryMaximum: time.Second})
	var clients sync.WaitGroup
	for seed := range uint64(8) {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(seed, 1))
			for range 60 {
				if err := oneLife(t, b, random); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	clients.Go(func() {
		for i := range 200 {
			if err := b.Publish(&wire.Publish{Topic: "a/1", Payload: []byte("x"), QoS: wire.QoS(i % 3)}); err != nil {
				t.Error(err)
			}
			b.Disconnect(fmt.Sprint("c", i%4), wire.AdministrativeAction)
			if i%50 == 0 {
				b.DropConnections()
			}
			_ = b.Stats()
		}
	})
	clients.Wait()
	require.NoError(t, b.Close())
	require.Zero(t, b.Stats().Connections)
}

// oneLife connects, sends packets blindly and goes in some way.
func oneLife(t *testing.T, b *Broker, random *rand.Rand) error {
	nc, err := b.Dial(t.Context())
	if err != nil {
		return err
	}
	defer nc.Close()
	v := versions[random.IntN(3)]
	connect := &wire.Connect{ClientID: fmt.Sprint("c", random.IntN(4)), CleanStart: random.IntN(2) == 0, Will: &wire.Will{Topic: "a/will", Retain: true, Payload: []byte("x")}}
	if v == wire.V5 {
		connect.SessionExpiryInterval = uint32(random.IntN(2))
	}
	packets := []wire.Packet{connect}
	for id := range uint16(1 + random.IntN(40)) {
		topic := fmt.Sprint("a/", random.IntN(3))
		switch random.IntN(6) {
		case 0:
			packets = append(packets, &wire.Subscribe{PacketID: 1 + id, Filters: []wire.SubscribeFilter{filter(topic, 2), filter("a/#", 1), filter("$share/g/+/1", 1)}})
		case 1:
			packets = append(packets, &wire.Unsubscribe{PacketID: 1 + id, Filters: []string{topic, "a/#"}})
		case 2:
			packets = append(packets, &wire.Puback{PacketID: 1 + id}, &wire.Pingreq{})
		default:
			p := &wire.Publish{Topic: topic, Payload: []byte("payload"), QoS: wire.QoS(random.IntN(3)), Retain: random.IntN(4) == 0}
			if p.QoS > 0 {
				p.PacketID = 1 + id
			}
			packets = append(packets, p)
		}
	}
	var text []byte
	for _, p := range packets {
		if text, err = p.Append(text, v); err != nil {
			return err
		}
	}
	if _, err := nc.Write(text); err != nil {
		return nil // taken over or dropped meanwhile
	}
	if random.IntN(2) == 0 {
		_, err = io.CopyN(io.Discard, nc, 4)
		if err != nil {
			return nil
		}
	}
	return nil
}

// TestNobodyCountsWhoHasGone lets users fight for identifiers and for too few places,
// with connections that are refused, evicted, taken over, cut and given up in the middle
// of CONNECT. Afterwards nothing may be left of them, and nothing given back twice.
func TestNobodyCountsWhoHasGone(t *testing.T) {
	for name, s := range map[string]store.Store{"no store": nil, "store": store.Memory()} {
		t.Run(name, func(t *testing.T) {
			pick := func(_ context.Context, l *Login) Decision {
				switch l.Username {
				case "panics":
					panic("no such user")
				case "denied":
					return Deny(wire.NotAuthorized, "no")
				}
				return Allow()
			}
			b := New(Config{Connections: 4, Sessions: 12, Store: s, SessionExpiryMaximum: time.Minute, Logger: slog.New(slog.DiscardHandler),
				Authenticators: []Authenticator{AuthenticatorFunc(pick)}})
			var clients sync.WaitGroup
			for seed := range uint64(12) {
				clients.Go(func() {
					random := rand.New(rand.NewPCG(seed, 2))
					for range 100 {
						if err := oneLogin(t, b, random); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			clients.Go(func() {
				for i := range 200 {
					b.Disconnect(fmt.Sprint("c", i%6), wire.AdministrativeAction)
					if i%50 == 0 {
						b.DropConnections()
					}
				}
			})
			clients.Wait()
			b.DropConnections()
			require.Eventually(t, func() bool { return b.Stats().Connections == 0 }, 10*time.Second, time.Millisecond)
			d := &b.doors
			require.Equal(t, make([]int, 4), []int{d.silent.Len(), d.waiting, d.bulky.Len(), d.clients.Len()})
			require.Zero(t, b.counts.lingering.Load())
			require.Zero(t, b.connects.used.Load())
			require.Zero(t, b.packets.used.Load())
			b.mu.RLock()
			require.EqualValues(t, len(b.clients), b.sessionQuota.used.Load())
			b.mu.RUnlock()
			require.NoError(t, b.Close())
		})
	}
}

// oneLogin connects as one of a few users, as one of a few clients, or begins to.
func oneLogin(t *testing.T, b *Broker, random *rand.Rand) error {
	nc, err := b.Dial(t.Context())
	if errors.Is(err, ErrTooMany) {
		return nil
	}
	if err != nil {
		return err
	}
	defer nc.Close()
	user := []string{"alice", "bob", "mallory", "mallory", "panics", "denied"}[random.IntN(6)]
	id := fmt.Sprint("c", random.IntN(6))
	if random.IntN(3) == 0 {
		id = user + id
	}
	connect := &wire.Connect{ClientID: id, Username: &user, CleanStart: random.IntN(2) == 0, SessionExpiryInterval: uint32(random.IntN(2) * 60)}
	if random.IntN(4) == 0 {
		connect.Password = bytes.Repeat([]byte("x"), 40<<10) // needs a large buffer
	}
	text, err := connect.Append(nil, wire.V5)
	if err != nil {
		return err
	}
	switch random.IntN(6) {
	case 0:
		text = text[:random.IntN(len(text))]
	case 1:
		text = append(text, text...) // a second one
	}
	if _, err := nc.Write(text); err != nil {
		return nil // somebody else got the place
	}
	if random.IntN(4) > 0 {
		_ = nc.SetReadDeadline(time.Now().Add(time.Duration(random.IntN(20)) * time.Millisecond))
		_, _ = io.Copy(io.Discard, nc)
	}
	return nil
}
