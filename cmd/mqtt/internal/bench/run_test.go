package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// patience is how long the runs of tests wait for what is under way: other work on the
// machine must not make messages look lost.
const patience = 2 * time.Minute

// try runs a load.
func try(t *testing.T, server string, cfg mqtt.Config, s Settings) *Result {
	t.Helper()
	s.Size, s.Drain, s.TopicPrefix, s.SubscribeQoS = 32, patience, "test", s.QoS
	if s.Spread == "" {
		s.Spread = SpreadAll
	}
	require.NoError(t, s.validate())
	r := newRunner(server, cfg, s)
	require.NoError(t, r.execute(t.Context()))
	res := r.result(false)
	res.judge()
	return res
}

func embedded(t *testing.T) string {
	b := broker.New(broker.Config{})
	t.Cleanup(func() { b.Close() })
	addr, err := b.Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return "mqtt://" + addr.String()
}

// sequence reads the number of a message.
func sequence(m *wire.Publish) uint64 { return binary.BigEndian.Uint64(m.Payload[8:]) }

func TestEveryShapeArrives(t *testing.T) {
	server := embedded(t)
	for _, s := range []Settings{
		{Publishers: 1, Subscribers: 1},
		{Publishers: 1, Subscribers: 4},
		{Publishers: 4, Subscribers: 1, Topics: 2},
		{Publishers: 2, Subscribers: 3, Topics: 6, Spread: SpreadDivided},
		{Publishers: 2, Subscribers: 3, Topics: 2, Spread: SpreadDivided},
		{Publishers: 2, Subscribers: 4, Spread: SpreadShared, Groups: 2},
	} {
		for _, rate := range []float64{0, 20_000} {
			for qos := range mqtt.QoS(3) {
				s := s
				s.QoS, s.Rate, s.Window, s.Count = qos, rate, 8, 400
				t.Run(fmt.Sprintf("%d to %d %s, rate %g, QoS %d", s.Publishers, s.Subscribers, s.Spread, rate, qos), func(t *testing.T) {
					t.Parallel()
					res := try(t, server, mqtt.Config{}, s)
					if s.Topics == 0 {
						s.Topics = s.Publishers
					}
					var copies uint64
					for k := range s.streams() {
						copies += uint64(400 / s.streams() * s.copies(k%s.Topics))
						if k < 400%s.streams() {
							copies += uint64(s.copies(k % s.Topics))
						}
					}
					want := Messages{Published: 400, Expected: copies, Received: copies}
					if qos > 0 {
						want.Acknowledged = 400
					}
					require.Equal(t, want, res.Messages)
					require.Empty(t, res.Errors)
					require.Equal(t, copies, res.Latency.EndToEnd.Count)
					require.Equal(t, want.Acknowledged, res.Latency.Acknowledged.Count)
					require.Positive(t, res.Rates.Published)
					require.Positive(t, res.Rates.Received)
					require.Equal(t, rate > 0, res.Load.Behind.Count == 400)
				})
			}
		}
	}
}

func TestMosquittoIsLoadedInEveryVersion(t *testing.T) {
	server := mosquitto.Start(t, mosquitto.Options{})
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		for qos := range mqtt.QoS(3) {
			t.Run(fmt.Sprintf("%s, QoS %d", v, qos), func(t *testing.T) {
				t.Parallel()
				res := try(t, server.URL(), mqtt.Config{Version: v}, Settings{Publishers: 2, Subscribers: 2, QoS: qos, Rate: 5000, Count: 500})
				require.Equal(t, v.String(), res.Server.Version)
				require.Equal(t, uint64(1000), res.Messages.Received)
				require.Zero(t, res.Messages.Lost+res.Messages.Duplicates+res.Messages.Disordered+res.Messages.Failed)
			})
		}
	}
}

// The network loses one message, repeats another and changes the order of two.
func TestFaultsAreCounted(t *testing.T) {
	b := mqtttest.NewBroker(t)
	var kept wire.Publish
	b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
		if p.Direction != mqtttest.Down {
			return
		}
		m := p.Packet.(*wire.Publish)
		switch sequence(m) {
		case 10:
			p.Drop()
		case 20:
			p.Repeat()
		case 30:
			kept = *m
			kept.Payload = append([]byte(nil), m.Payload...)
			p.Drop()
		case 31:
			p.Replace(m, &kept)
		}
	})
	r := newRunner(b.URL(), mqtt.Config{Version: mqtt.V311}, Settings{
		Publishers: 1, Subscribers: 1, Topics: 1, TopicPrefix: "test", Size: 32, Rate: 1000, Count: 100, Spread: SpreadAll,
		Drain: 5 * time.Second, // since the last message; the lost one is waited for so long
	})
	require.NoError(t, r.execute(t.Context()))
	m := r.result(false).Messages
	require.Equal(t, Messages{Published: 100, Expected: 100, Received: 100, Lost: 1, Duplicates: 1, Disordered: 1}, m)
}

// What was due while the server stood still is late, and not only the message that was
// under way.
func TestStandstillIsChargedToAllThatWasDue(t *testing.T) {
	const pause = 300 * time.Millisecond
	b := mqtttest.NewBroker(t)
	b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
		if p.Direction == mqtttest.Down && sequence(p.Packet.(*wire.Publish)) == 200 {
			p.Delay(pause)
		}
	})
	res := try(t, b.URL(), mqtt.Config{}, Settings{Publishers: 1, Subscribers: 1, Rate: 1000, Count: 600})
	// Of 600 messages, those of 200 ms were due 100 ms or more before the end of the pause.
	require.Greater(t, res.Latency.EndToEnd.P90, 100e3)
	require.GreaterOrEqual(t, res.Latency.EndToEnd.Max, 300e3)
}

func TestRefusedMessagesAreNoLoss(t *testing.T) {
	b := mqtttest.NewBrokerWith(t, mqtttest.Config{Broker: broker.Config{
		Authorizers: []broker.Authorizer{broker.AuthorizerFunc(func(_ context.Context, a *broker.Access) broker.Decision {
			if a.Action == broker.PublishAction && sequence(a.Message)%10 == 0 {
				return broker.Deny(wire.QuotaExceeded, "")
			}
			return broker.Allow()
		})},
	}})
	res := try(t, b.URL(), mqtt.Config{}, Settings{Publishers: 1, Subscribers: 1, QoS: 1, Rate: 2000, Count: 100})
	require.Equal(t, uint64(10), res.Messages.Failed)
	require.Equal(t, uint64(90), res.Messages.Received)
	require.Zero(t, res.Messages.Lost)
	require.Len(t, res.Errors, 1)
}

func TestWarmUpIsNotMeasured(t *testing.T) {
	res := try(t, embedded(t), mqtt.Config{}, Settings{Publishers: 2, Subscribers: 1, Rate: 1000, Warmup: 200 * time.Millisecond, Duration: 300 * time.Millisecond})
	require.Equal(t, uint64(500), res.Messages.Received)
	require.Equal(t, uint64(300), res.Latency.EndToEnd.Count)
	var sent, received uint64
	for _, i := range res.Intervals {
		sent += i.Sent
		received += i.Received
	}
	require.Equal(t, uint64(300), sent)
	require.Equal(t, uint64(300), received)
}

func TestEndOfTheContextKeepsWhatWasMeasured(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	b := mqtttest.NewBroker(t)
	b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
		if p.Direction == mqtttest.Down && sequence(p.Packet.(*wire.Publish)) == 50 {
			stop(errors.New("enough"))
		}
	})
	r := newRunner(b.URL(), mqtt.Config{}, Settings{
		Publishers: 1, Subscribers: 1, Topics: 1, TopicPrefix: "test", Size: 32, QoS: 1, SubscribeQoS: 1,
		Rate: 1000, Duration: time.Hour, Drain: patience, Spread: SpreadAll,
	})
	require.NoError(t, r.execute(ctx))
	m := r.result(false).Messages
	require.GreaterOrEqual(t, m.Received, uint64(51))
	require.Equal(t, m.Expected, m.Received)
	require.Zero(t, m.Lost)
	b.WantNoLeak()
}

func TestImpossibleLoadIsRefusedAtOnce(t *testing.T) {
	b := mqtttest.NewBrokerWith(t, mqtttest.Config{Broker: broker.Config{MaximumQoS: new(wire.AtLeastOnce), NoRetained: true, MaximumPacketSize: 1000}})
	for _, s := range []Settings{{QoS: 2, Size: 32}, {Retain: true, Size: 32}, {Size: 1000}} {
		s.Publishers, s.Subscribers, s.Topics, s.Duration, s.Window, s.TopicPrefix, s.Spread = 1, 1, 1, time.Hour, 1, "test", SpreadAll
		_, ok := errors.AsType[*mqtt.LimitError](newRunner(b.URL(), mqtt.Config{}, s).execute(t.Context()))
		require.True(t, ok)
	}
	b.WantNoLeak()
}

func TestServerThatIsNotThere(t *testing.T) {
	s := Settings{Publishers: 3, Subscribers: 3, Topics: 1, Size: 32, Duration: time.Hour, Spread: SpreadAll}
	r := newRunner("mqtt://127.0.0.1:1", mqtt.Config{}, s)
	require.ErrorContains(t, r.execute(t.Context()), "subscribers")
}
