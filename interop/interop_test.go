package interop

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/interop/drivers"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

var versionNames = map[byte]string{3: "3.1", 4: "3.1.1", 5: "5.0"}

// scene is a broker, a foreign client, and a client of ours that is there to
// look.
type scene struct {
	t        *testing.T
	ctx      context.Context
	broker   *mqtttest.Broker
	ours     *mqtt.Client
	options  options
	peer     *peer
	received chan message
}

// TestPeers runs every client at every version and QoS.
func TestPeers(t *testing.T) {
	parts := map[string]func(*scene, byte){
		"publish":  (*scene).publish,
		"receive":  (*scene).receive,
		"retained": (*scene).retained,
		"will":     (*scene).will,
		"resume":   (*scene).resume,
	}
	eachClient(t, func(t *testing.T, d drivers.Driver, version byte) {
		// One client for all of it: programs take their time to start.
		var inbox atomic.Pointer[chan message]
		client := newPeer(t, d, func(m message) { *inbox.Load() <- m })
		for name, part := range parts {
			for qos := range byte(3) {
				t.Run(fmt.Sprintf("%s/QoS %d", name, qos), func(t *testing.T) {
					s := newScene(t, client, version)
					inbox.Store(&s.received)
					part(s, qos)
				})
			}
		}
	})
}

func newScene(t *testing.T, client *peer, version byte) *scene {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	b := mqtttest.NewBrokerWith(t, mqtttest.Config{Patience: patience})
	ours, err := mqtt.Connect(ctx, b.URL(), mqtt.Config{ClientID: "ours"})
	require.NoError(t, err)
	t.Cleanup(func() { ours.Close() })
	return &scene{
		t: t, ctx: ctx, broker: b, ours: ours, peer: client,
		options:  options{URL: b.URL(), ID: "theirs", Version: version, Clean: true},
		received: make(chan message, 1000),
	}
}

// connect connects the peer and returns whether there was a session.
func (s *scene) connect() bool {
	s.t.Helper()
	present, err := s.peer.connect(s.ctx, s.options)
	require.NoError(s.t, err)
	return present
}

func (s *scene) subscribe(filter string, qos byte) {
	s.t.Helper()
	granted, err := s.peer.subscribe(s.ctx, filter, qos)
	require.NoError(s.t, err)
	require.Equal(s.t, qos, granted)
}

// want waits for messages of the peer, in this order.
func (s *scene) want(messages ...message) {
	s.t.Helper()
	for _, want := range messages {
		select {
		case got := <-s.received:
			require.Equal(s.t, want, got)
		case <-s.ctx.Done():
			require.Fail(s.t, "no message", "want %.200v", want)
		}
	}
}

// payloads are an empty one, a large one, and many.
func payloads(qos byte) []string {
	all := []string{"", "ünïcödé", strings.Repeat("large ", 50_000)}
	for i := range 50 {
		all = append(all, fmt.Sprintf("message %d of QoS %d", i, qos))
	}
	return all
}

// publish: what the peer publishes arrives, in order, once.
func (s *scene) publish(qos byte) {
	sub, err := s.ours.Subscribe(s.ctx, "from/#", mqtt.ExactlyOnce)
	require.NoError(s.t, err)
	s.connect()
	for _, payload := range payloads(qos) {
		require.NoError(s.t, s.peer.publish(s.ctx, message{Topic: "from/them", Payload: payload, QoS: qos}))
		m, err := sub.Next(s.ctx)
		require.NoError(s.t, err)
		require.Equal(s.t, payload, string(m.Payload))
		require.Equal(s.t, mqtt.QoS(qos), m.QoS)
		require.Equal(s.t, "from/them", m.Topic)
	}
	require.NoError(s.t, s.peer.disconnect(s.ctx))
	s.broker.WantDisconnected("theirs")
	require.NoError(s.t, s.ours.Disconnect(s.ctx))
	require.Zero(s.t, s.broker.Stats().Dropped)
}

// receive: the peer gets what is published on its filter, in order, once, at the
// lower QoS.
func (s *scene) receive(qos byte) {
	s.connect()
	s.subscribe("to/+/them", qos)
	for _, payload := range payloads(qos) {
		require.NoError(s.t, s.ours.Publish(s.ctx, "to/x/them", []byte(payload), mqtt.ExactlyOnce))
	}
	require.NoError(s.t, s.ours.Publish(s.ctx, "to/them", nil, mqtt.ExactlyOnce))
	for _, payload := range payloads(qos) {
		s.want(message{Topic: "to/x/them", Payload: payload, QoS: qos})
	}
	require.NoError(s.t, s.peer.disconnect(s.ctx))
	s.broker.WantDisconnected("theirs")
	require.Empty(s.t, s.received)
}

// retained: the peer's retained message is kept, replaced and removed, and the
// peer gets it when it subscribes, with the flag.
func (s *scene) retained(qos byte) {
	s.connect()
	keep := message{Topic: "kept/1", Payload: "old", QoS: qos, Retain: true}
	require.NoError(s.t, s.peer.publish(s.ctx, keep))
	keep.Payload = "new"
	require.NoError(s.t, s.peer.publish(s.ctx, keep))
	require.NoError(s.t, s.peer.publish(s.ctx, message{Topic: "kept/2", Payload: "gone soon", QoS: qos, Retain: true}))
	require.NoError(s.t, s.peer.publish(s.ctx, message{Topic: "kept/2", QoS: qos, Retain: true}))
	s.broker.Want(mqtttest.Match{Type: wire.TypePublish, ClientID: "theirs", Times: 4})
	s.subscribe("kept/#", qos)
	s.want(keep)

	require.NoError(s.t, s.ours.PublishMessage(s.ctx, &mqtt.Message{
		Topic: "kept/1", Payload: []byte("newest"), QoS: mqtt.QoS(qos), Retain: true,
	}))
	s.want(message{Topic: "kept/1", Payload: "newest", QoS: qos}) // to who is subscribed it is an ordinary one
	require.NoError(s.t, s.peer.disconnect(s.ctx))
	require.Equal(s.t, 1, s.broker.Stats().Retained)
}

// will: it is published when the peer is gone without a word, not when it says
// goodbye.
func (s *scene) will(qos byte) {
	sub, err := s.ours.Subscribe(s.ctx, "#", mqtt.ExactlyOnce)
	require.NoError(s.t, err)
	s.options.Will = &message{Topic: "will", Payload: "the first", QoS: qos}
	s.connect()
	require.NoError(s.t, s.peer.disconnect(s.ctx))
	s.broker.WantDisconnected("theirs")

	s.options.Will = &message{Topic: "will", Payload: "the second", QoS: qos, Retain: true}
	s.connect()
	require.NoError(s.t, s.peer.kill())
	m, err := sub.Next(s.ctx)
	require.NoError(s.t, err)
	require.Equal(s.t, "the second", string(m.Payload))
	require.Equal(s.t, mqtt.QoS(qos), m.QoS)
	require.Equal(s.t, 1, s.broker.Stats().Retained)
}

// resume: subscriptions, and what came at QoS 1 and 2, are there after the peer
// has been away.
func (s *scene) resume(qos byte) {
	s.options.Clean, s.options.Expiry = false, 300
	require.False(s.t, s.connect())
	s.subscribe("to/them", qos)
	require.NoError(s.t, s.peer.kill())
	s.broker.WantDisconnected("theirs")
	for _, payload := range []string{"while", "away"} {
		require.NoError(s.t, s.ours.Publish(s.ctx, "to/them", []byte(payload), mqtt.QoS(qos)))
	}
	s.broker.WantPublished("to/them", "while", "away")
	require.NoError(s.t, s.ours.Disconnect(s.ctx))

	present := s.connect()
	require.Equal(s.t, s.options.Version > 3, present, "3.1 does not say")
	if qos > 0 { // QoS 0 messages are not kept
		s.want(message{Topic: "to/them", Payload: "while", QoS: qos}, message{Topic: "to/them", Payload: "away", QoS: qos})
	}
	s.broker.Publish(&wire.Publish{Topic: "to/them", Payload: []byte("back"), QoS: wire.QoS(qos), PacketID: uint16(min(qos, 1))})
	s.want(message{Topic: "to/them", Payload: "back", QoS: qos})
	require.NoError(s.t, s.peer.disconnect(s.ctx))
}
