package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// noting returns handlers for patterns that note which of them got a message, and with
// which values.
func noting(noted *[]string, patterns ...string) (handlers []mqtt.MuxHandler) {
	for _, p := range patterns {
		handlers = append(handlers, mqtt.MuxHandler{Pattern: p, Handle: func(ctx context.Context, _ *mqtt.Message) error {
			*noted = append(*noted, fmt.Sprint(p, " ", mqtt.MuxValues(ctx).List()))
			return nil
		}})
	}
	return handlers
}

func nothing(context.Context, *mqtt.Message) error { return nil }

func TestMuxCallsTheNarrowest(t *testing.T) {
	var noted []string
	mux, err := mqtt.NewMux(noting(&noted,
		"a/{x}/up", "a/{all...}", "a/7/up", "a/+/{y}", "sites/{site}", "$SYS/{x}", "$SYS/#", "c")...)
	require.NoError(t, err)
	require.Equal(t, []mqtt.Filter{{Filter: "a/#"}, {Filter: "sites/+"}, {Filter: "$SYS/#"}, {Filter: "c"}}, mux.Filters())
	for topic, want := range map[string]string{
		"a": "a/{all...} []", "a/x/y/z": "a/{all...} [x/y/z]", "a/": "a/{all...} []",
		"a/6/up": "a/{x}/up [6]", "a/7/up": "a/7/up []", "a/6/down": "a/+/{y} [down]",
		"sites/x": "sites/{site} [x]", "sites/": "sites/{site} []",
		"$SYS/up": "$SYS/{x} [up]", "$SYS/a/b": "$SYS/# []", "c": "c []",
	} {
		noted = nil
		require.NoError(t, mux.Handle(t.Context(), &mqtt.Message{Topic: topic}))
		require.Equal(t, []string{want}, noted, topic)
	}
	noted = nil
	require.Equal(t, mqtt.TopicNameInvalid, mux.Handle(t.Context(), &mqtt.Message{Topic: "d"}))
	require.Empty(t, noted)
	mux.Unmatched = func(_ context.Context, m *mqtt.Message) error { return errors.New(m.Topic) }
	require.EqualError(t, mux.Handle(t.Context(), &mqtt.Message{Topic: "d"}), "d")
}

func TestMuxAsksForWhatAllItsHandlersNeed(t *testing.T) {
	mux, err := mqtt.NewMux(
		mqtt.MuxHandler{Pattern: "a/{x}", QoS: mqtt.ExactlyOnce, Prefix: "$share/g/", Handle: nothing, RetainAsPublished: true},
		mqtt.MuxHandler{Pattern: "a/#", Prefix: "$share/g/", Handle: nothing, RetainAsPublished: true},
		mqtt.MuxHandler{Pattern: "b/{x}", QoS: mqtt.AtLeastOnce, NoLocal: true, RetainHandling: mqtt.DontSendRetained, Handle: nothing},
		mqtt.MuxHandler{Pattern: "c/{x}", Prefix: "$queue/", Handle: nothing},
	)
	require.NoError(t, err)
	filters := mux.Filters()
	require.Equal(t, []mqtt.Filter{
		{Filter: "$share/g/a/#", QoS: mqtt.ExactlyOnce, RetainAsPublished: true},
		{Filter: "b/+", QoS: mqtt.AtLeastOnce, NoLocal: true, RetainHandling: mqtt.DontSendRetained},
		{Filter: "$queue/c/+"},
	}, filters)
	filters[0].Filter = "changed"
	require.Equal(t, "$share/g/a/#", mux.Filters()[0].Filter)
}

func TestNewMuxRefuses(t *testing.T) {
	type h = mqtt.MuxHandler
	for want, handlers := range map[string][]h{
		"has no handlers":                  nil,
		`topic pattern "a/{" has a {`:      {{Pattern: "a/{", Handle: nothing}},
		`pattern "a" has no function`:      {{Pattern: "a"}},
		"QoS 3":                            {{Pattern: "a", QoS: 3, Handle: nothing}},
		`prefix "share/g/"`:                {{Pattern: "a", Prefix: "share/g/", Handle: nothing}},
		`prefix "$share/g"`:                {{Pattern: "a", Prefix: "$share/g", Handle: nothing}},
		"has no share name":                {{Pattern: "a", Prefix: "$share//", Handle: nothing}},
		"begins with $share":               {{Pattern: "$share/g/a", Handle: nothing}},
		`"a/{x}" and "a/{y}" match the`:    {{Pattern: "a/{x}", Handle: nothing}, {Pattern: "a/{y}", Handle: nothing}},
		`"#" and "+/#" match the`:          {{Pattern: "#", Handle: nothing}, {Pattern: "+/#", Handle: nothing}},
		`"a/+" and "+/b" overlap, and nei`: {{Pattern: "a/+", Handle: nothing}, {Pattern: "+/b", Handle: nothing}},
		`"a/#" and "a/b" overlap, and the`: {{Pattern: "a/#", Handle: nothing}, {Pattern: "a/b", Prefix: "$share/g/", Handle: nothing}},
		`"a/#" and "a/c" overlap, and the`: {{Pattern: "a/#", Handle: nothing}, {Pattern: "a/c", NoLocal: true, Handle: nothing}},
		`"a/#" and "a/d" overlap, and the`: {{Pattern: "a/#", Handle: nothing}, {Pattern: "a/d", RetainAsPublished: true, Handle: nothing}},
		`"a/#" and "a/e" overlap, and the`: {{Pattern: "a/#", Handle: nothing}, {Pattern: "a/e", RetainHandling: mqtt.SendRetainedIfNew, Handle: nothing}},
	} {
		mux, err := mqtt.NewMux(handlers...)
		require.ErrorContains(t, err, want)
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.Nil(t, mux)
	}
}

func TestMuxValuesGoWithContextsMadeFromThatOfTheFunction(t *testing.T) {
	type mine struct{}
	mux, err := mqtt.NewMux(mqtt.MuxHandler{Pattern: "a/{x}", Handle: func(ctx context.Context, _ *mqtt.Message) error {
		require.Equal(t, "of the caller", ctx.Value(mine{}))
		below, cancel := context.WithCancel(context.WithValue(ctx, mine{}, "another"))
		defer cancel()
		require.Equal(t, "7", mqtt.MuxValues(below).Get("x"))
		require.Equal(t, "a/{x}", mqtt.MuxValues(below).Pattern().String())
		return below.Err()
	}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), mine{}, "of the caller"))
	require.NoError(t, mux.Handle(ctx, &mqtt.Message{Topic: "a/7"}))
	cancel()
	require.ErrorIs(t, mux.Handle(ctx, &mqtt.Message{Topic: "a/7"}), context.Canceled)
	require.Equal(t, match.Values{}, mqtt.MuxValues(ctx))
}

// A Mux serves a Subscription like any function: what its functions return decides
// about the acknowledgement, and what matches nothing is refused.
func TestMuxHandlesASubscription(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		var noted []string
		mux, err := mqtt.NewMux(noting(&noted, "a/{x}", "a/{x}/{y}", "a/#")...)
		require.NoError(t, err)
		h := Begin(func() error {
			return client.Handle(t.Context(), mqtt.SubscribeOptions{Filters: mux.Filters()}, mux.Handle)
		})
		p := mqtttest.Take[*wire.Subscribe](conn)
		require.Equal(t, []mqtt.Filter{{Filter: "a/#"}}, p.Filters)
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.Success}})
		in := func(topic string, id uint16) *wire.Publish {
			m := To(topic, Pub(id, 1, "x"))
			if v == wire.V5 {
				m = IDs(m, p.SubscriptionID)
			}
			return m
		}
		conn.Send(in("a/1", 1), in("a/1/2", 2), in("a", 3))
		conn.Want(Puback(1), Puback(2), Puback(3))
		require.Equal(t, []string{"a/{x} [1]", "a/{x}/{y} [1 2]", "a/# []"}, noted)
		require.False(t, h.Over())
	})
}

func TestMuxRefusesWhatItDoesNotKnow(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		var noted []string
		mux, err := mqtt.NewMux(noting(&noted, "a/{x}")...)
		require.NoError(t, err)
		h := Begin(func() error {
			return client.Handle(t.Context(), mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "#", QoS: 1}}}, mux.Handle)
		})
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.GrantedQoS1}})
		conn.Send(To("b/1", Pub(1, 1, "x")), To("a/1", Pub(2, 1, "x")))
		refused := Puback(1)
		if v == wire.V5 {
			refused.ReasonCode = mqtt.TopicNameInvalid
		}
		conn.Want(refused, Puback(2))
		require.Equal(t, []string{"a/{x} [1]"}, noted)
		require.False(t, h.Over())
	})
}

// muxOf has n patterns of devices, with one for all the rest.
func muxOf(tb testing.TB, n int, calls *int) *mqtt.Mux {
	handlers := []mqtt.MuxHandler{{Pattern: "devices/{path...}", Handle: nothing}}
	for i := range n - 1 {
		handlers = append(handlers, mqtt.MuxHandler{Pattern: fmt.Sprintf("devices/{id}/kind%d", i), Handle: func(ctx context.Context, _ *mqtt.Message) error {
			if mqtt.MuxValues(ctx).Get("id") != "7" {
				return mqtt.ErrInvalid
			}
			*calls++
			return nil
		}})
	}
	mux, err := mqtt.NewMux(handlers...)
	require.NoError(tb, err)
	return mux
}

func BenchmarkMux(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		calls := 0
		mux := muxOf(b, n, &calls)
		m := &mqtt.Message{Topic: fmt.Sprintf("devices/7/kind%d", n/2)}
		b.Run(fmt.Sprint("handle-", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := mux.Handle(b.Context(), m); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprint("make-", n), func(b *testing.B) {
			for b.Loop() {
				muxOf(b, n, &calls)
			}
		})
	}
}
