package clienttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// witness is a hook that notes what it sees, and puts its name on messages and
// into contexts.
type witness struct {
	name string
	log  *notes
}

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

type witnessKey struct{}

func (w witness) Publish(_ context.Context, m *mqtt.Message) func(error) {
	m.UserProperties = append(m.UserProperties[:len(m.UserProperties):len(m.UserProperties)], mqtt.UserProperty{Name: "by", Value: w.name})
	w.log.add("%s publishes %s", w.name, m.Payload)
	return func(err error) { w.log.add("%s: %s is %v", w.name, m.Payload, err) }
}

func (w witness) Handle(ctx context.Context, m *mqtt.Message) (context.Context, func(error)) {
	before, _ := ctx.Value(witnessKey{}).(string)
	return context.WithValue(ctx, witnessKey{}, before+w.name), func(err error) { w.log.add("%s: handled with %v", w.name, err) }
}

// deaf is a HandleHook that does not want to know how it ends.
type deaf struct{}

func (deaf) Handle(ctx context.Context, _ *mqtt.Message) (context.Context, func(error)) {
	return ctx, nil
}

func TestHooksSeeWhatIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(notes)
		cfg.Hooks = []any{witness{"a", log}, deaf{}, witness{"b", log}}
		client, conn := Open(t, srv, cfg)
		by := []wire.UserProperty{{Name: "by", Value: "a"}, {Name: "by", Value: "b"}}

		done := Publish(t, client, "one", 1)
		p := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, by, p.Properties.UserProperties)
		conn.Send(&wire.Puback{PacketID: 1, ReasonCode: wire.QuotaExceeded})
		require.ErrorIs(t, done.Wait(), mqtt.QuotaExceeded)
		got := log.take()
		require.Len(t, got, 4)
		require.Equal(t, []string{"a publishes one", "b publishes one"}, got[:2])
		require.Contains(t, got[2], "b: one is mqtt: publish")
		require.Contains(t, got[3], "a: one is mqtt: publish")

		m := &mqtt.Message{Topic: "t", Payload: []byte("two"), QoS: 1, UserProperties: []mqtt.UserProperty{{Name: "k", Value: "v"}}}
		_, err := client.PublishAsync(t.Context(), m)
		require.NoError(t, err)
		p = mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, append([]wire.UserProperty{{Name: "k", Value: "v"}}, by...), p.Properties.UserProperties)
		require.Len(t, m.UserProperties, 1, "the caller's message is not changed")
		synctest.Wait()
		require.Equal(t, []string{"a publishes two", "b publishes two"}, log.take())
		conn.Send(Puback(2))
		synctest.Wait()
		require.Equal(t, []string{"b: two is <nil>", "a: two is <nil>"}, log.take())

		_, err = client.PublishAsync(t.Context(), &mqtt.Message{Topic: "#", Payload: []byte("bad")})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.Len(t, log.take(), 4)
		_, err = client.PublishAsync(t.Context(), nil)
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.ErrorIs(t, client.PublishMessage(t.Context(), nil), mqtt.ErrInvalid)
		require.Empty(t, log.take())
	})
}

func TestHooksSeeWhatIsHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(notes)
		cfg.Hooks = []any{witness{"a", log}, deaf{}, witness{"b", log}}
		client, conn := Open(t, srv, cfg)
		failure := errors.New("no good")
		end := Begin(func() error {
			return client.Handle(t.Context(), mqtt.SubscribeOptions{Filters: Filters("t")}, func(ctx context.Context, m *mqtt.Message) error {
				log.add("%s for %v", m.Payload, ctx.Value(witnessKey{}))
				if string(m.Payload) == "bad" {
					return failure
				}
				return nil
			})
		})
		Grant(conn)
		conn.Send(Pub(0, 0, "good"), Pub(0, 0, "bad"))
		require.ErrorIs(t, end.Wait(), failure)
		require.Equal(t, []string{"good for ab", "b: handled with <nil>", "a: handled with <nil>",
			"bad for ab", "b: handled with no good", "a: handled with no good"}, log.take())
	})
}

func TestAHookThatSeesNothingIsRefused(t *testing.T) {
	_, err := mqtt.Connect(t.Context(), "mqtt://server", mqtt.Config{Hooks: []any{deaf{}, 7}})
	require.ErrorIs(t, err, mqtt.ErrInvalid)
	require.ErrorContains(t, err, "Config.Hooks")
}

func TestHooksHearOfARequestThatWasWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(notes)
		cfg.Hooks = []any{witness{"a", log}}
		client, conn := Open(t, srv, cfg)
		first := BeginRequest(t.Context(), client, Question("first"))
		Grant(conn)
		conn.Send(ResponseTo(TakeRequest(conn), "!"))
		require.NoError(t, first.Wait())
		srv.Refuse()
		conn.Close()
		synctest.Wait()
		log.take()
		ctx, cancel := context.WithCancel(t.Context())
		second := BeginRequest(ctx, client, Question("second"))
		synctest.Wait()
		cancel()
		err := second.Wait()
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, mqtt.NotSent(err))
		synctest.Wait()
		require.Equal(t, []string{"a publishes second", `a: second is mqtt: publish "t": context canceled (not sent)`}, log.take())
	})
}

func TestHooksSeeWhatIsRespondedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(notes)
		cfg.Hooks = []any{witness{"a", log}, deaf{}}
		client, conn := Open(t, srv, cfg)
		Respond(t, client, conn, 1, func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			log.add("%s for %v", m.Payload, ctx.Value(witnessKey{}))
			if string(m.Payload) == "bad" {
				return nil, errors.New("no good")
			}
			return nil, nil
		})
		conn.Send(Pub(7, 1, "good"), Pub(8, 1, "bad"))
		conn.Want(Puback(7), Puback(8))
		require.Equal(t, []string{"good for a", "a: handled with <nil>", "bad for a", "a: handled with no good"}, log.take())
	})
}
