package clienttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// notes are what hooks have seen.
type notes struct {
	mu  sync.Mutex
	all []string
}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, fmt.Sprintf(format, args...))
}

func (n *notes) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.all
	n.all = nil
	return all
}

// path has the names of hooks that a context has passed.
func path(ctx context.Context) string {
	names, _ := ctx.Value(pathKey{}).(string)
	return names
}

type pathKey struct{}

// witness is a hook that notes what it sees, and puts its name on messages and into
// contexts.
func witness(name string, log *notes) mqtt.Hook {
	return mqtt.Hook{
		Publish: func(ctx context.Context, m *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
			m.AddUserProperty("by", name)
			log.add("%s: %s by %v", name, m.Message.Payload, m.Operation)
			return context.WithValue(ctx, pathKey{}, path(ctx)+name), func(ack mqtt.Ack, err error) {
				log.add("%s: %s: %v, %v", name, m.Message.Payload, ack.ReasonCode, err)
			}
		},
		Consume: func(ctx context.Context, m *mqtt.ConsumeInfo) (context.Context, func(error)) {
			log.add("%s: %s from %q by %v", name, m.Message.Payload, m.Filter, m.Operation)
			return context.WithValue(ctx, pathKey{}, path(ctx)+name), func(err error) {
				log.add("%s: %s: %v", name, m.Message.Payload, err)
			}
		},
	}
}

// indifferent is a hook that does not want to know how anything ends.
var indifferent = mqtt.Hook{
	Publish: func(ctx context.Context, _ *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
		return ctx, nil
	},
	Consume: func(ctx context.Context, _ *mqtt.ConsumeInfo) (context.Context, func(error)) { return ctx, nil },
}

// hooked are a client with one witness, and its server.
func hooked(t *testing.T, log *notes) (*mqtt.Client, *mqtttest.Conn) {
	t.Helper()
	srv := mqtttest.NewServer(t, wire.V5)
	cfg := Quiet(srv)
	cfg.Hooks = []mqtt.Hook{indifferent, witness("h", log)}
	return Open(t, srv, cfg)
}

func by(names ...string) (list []wire.UserProperty) {
	for _, name := range names {
		list = append(list, wire.UserProperty{Name: "by", Value: name})
	}
	return list
}

func TestHooksSeeWhatIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(notes)
		cfg.Hooks = []mqtt.Hook{witness("a", log), indifferent, {}, witness("b", log)}
		client, conn := Open(t, srv, cfg)

		require.NoError(t, client.Publish(t.Context(), "t", []byte("zero"), mqtt.AtMostOnce))
		require.Equal(t, by("a", "b"), mqtttest.Take[*wire.Publish](conn).Properties.UserProperties)
		require.Equal(t, []string{"a: zero by publish", "b: zero by publish", "b: zero: success (0x00), <nil>", "a: zero: success (0x00), <nil>"}, log.take())

		done := Publish(t, client, "one", 1)
		mqtttest.Take[*wire.Publish](conn)
		conn.Send(&wire.Puback{PacketID: 1, ReasonCode: wire.NoMatchingSubscribers})
		require.NoError(t, done.Wait())
		require.Equal(t, []string{"b: one: no matching subscribers (0x10), <nil>", "a: one: no matching subscribers (0x10), <nil>"}, log.take()[2:])

		m := &mqtt.Message{Topic: "t", Payload: []byte("two"), QoS: 1, UserProperties: []mqtt.UserProperty{{Name: "k", Value: "v"}}}
		_, err := client.PublishAsync(t.Context(), m)
		require.NoError(t, err)
		got := mqtttest.Take[*wire.Publish](conn).Properties.UserProperties
		require.Equal(t, append([]wire.UserProperty{{Name: "k", Value: "v"}}, by("a", "b")...), got)
		require.Len(t, m.UserProperties, 1, "the program's message is not changed")
		synctest.Wait()
		require.Equal(t, []string{"a: two by publish", "b: two by publish"}, log.take())
		conn.Send(&wire.Puback{PacketID: 2, ReasonCode: wire.QuotaExceeded})
		synctest.Wait()
		ended := log.take()
		require.Len(t, ended, 2)
		require.Contains(t, ended[0], `b: two: success (0x00), mqtt: publish "t": `)
		require.Contains(t, ended[0], "quota exceeded")
	})
}

func TestHooksHearOnceOfWhatIsNotAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(notes)
		client, _ := hooked(t, log)
		_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "#", Payload: []byte("bad")})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.ErrorIs(t, client.Publish(t.Context(), "#", []byte("also"), 0), mqtt.ErrInvalid)
		require.ErrorIs(t, client.PublishMessage(t.Context(), &mqtt.Message{Topic: "#", Payload: []byte("too")}), mqtt.ErrInvalid)
		_, err = client.PublishAsync(t.Context(), nil)
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.ErrorIs(t, client.PublishMessage(t.Context(), nil), mqtt.ErrInvalid)
		synctest.Wait()
		got := log.take()
		require.Len(t, got, 6)
		require.Equal(t, "h: bad by publish", got[0])
		require.Contains(t, got[1], "h: bad: success (0x00), mqtt: publish")
		require.Equal(t, "h: also by publish", got[2])
		require.Equal(t, "h: too by publish", got[4])
	})
}

func TestPropertiesOfHooksAreChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Hooks = []mqtt.Hook{{Publish: func(ctx context.Context, m *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
			m.AddUserProperty("k", "\xff")
			return ctx, nil
		}}}
		client, conn := Open(t, srv, cfg)
		require.ErrorIs(t, client.Publish(t.Context(), "t", nil, 0), mqtt.ErrInvalid)
		_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t"})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		conn.WantIdle()
	})
}

// TestHooksHearOfWhatIsDropped covers messages that PublishAsync accepts and drops, at
// once and later, and those that the end of the client finds.
func TestHooksHearOfWhatIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(notes)
		cfg.Hooks = []mqtt.Hook{witness("h", log)}
		cfg.QueueMessages = 2
		cfg.WhenFull = mqtt.WhenFull{AtMostOnce: mqtt.FullDropNewest, Acknowledged: mqtt.FullDropOldest}
		client, conn := Open(t, srv, cfg)
		srv.Refuse()
		conn.Close()
		synctest.Wait()
		PublishAsync(t, client, "1", 1)
		PublishAsync(t, client, "2", 1)
		log.take()
		PublishAsync(t, client, "3", 0)
		synctest.Wait()
		require.Contains(t, log.take()[1], "h: 3: success (0x00), mqtt: publish \"t\": queue full")
		PublishAsync(t, client, "4", 1)
		synctest.Wait()
		require.Contains(t, log.take()[1], "h: 1: success (0x00), mqtt: publish \"t\": queue full")
		require.NoError(t, client.Close())
		got := log.take()
		require.Len(t, got, 2)
		require.Contains(t, got[0], "h: 2: success (0x00), mqtt: publish \"t\": client closed")
		require.Contains(t, got[1], "h: 4: success (0x00), mqtt: publish \"t\": client closed")
	})
}

// TestASlowHookSlowsPublishersDown: what has ended and waits for it is bounded. It stops
// neither the connection nor Close.
func TestASlowHookSlowsPublishersDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		enough := make(chan struct{})
		cfg.Hooks = []mqtt.Hook{{Publish: func(ctx context.Context, m *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
			return ctx, func(_ mqtt.Ack, err error) {
				if err == nil {
					<-enough
				}
			}
		}}}
		cfg.QueueMessages = 3
		client, conn := Open(t, srv, cfg)
		for i := range 6 { // as many again as the queue takes
			PublishAsync(t, client, fmt.Sprint(i), 0)
			conn.Want(Pub(0, 0, fmt.Sprint(i)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "t", Payload: []byte("too many")})
		require.ErrorIs(t, err, mqtt.ErrQueueFull)
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(Pub(1, 1, "in"))
		WantMessages(t, sub, "in")
		conn.Want(Puback(1))
		before := time.Now()
		end := Begin(client.Close)
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
		require.Equal(t, time.Second, time.Since(before))
		close(enough)
	})
}

func TestHooksOfPublishAsyncMayCallTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		var client *mqtt.Client
		ended := make(chan error, 1)
		cfg.Hooks = []mqtt.Hook{{Publish: func(ctx context.Context, m *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
			return ctx, func(mqtt.Ack, error) {
				if string(m.Message.Payload) == "first" {
					ended <- errors.Join(client.Publish(ctx, "t", []byte("second"), mqtt.AtLeastOnce), client.Close())
				}
			}
		}}}
		client, conn := Open(t, srv, cfg)
		PublishAsync(t, client, "first", 1)
		conn.Want(Pub(1, 1, "first"))
		conn.Send(Puback(1))
		conn.Want(Pub(2, 1, "second"))
		conn.Send(Puback(2))
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, <-ended)
	})
}
