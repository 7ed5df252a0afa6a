package mqtttest_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestSwallowedAcknowledgement(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{Reconnect: quickly})
		b.Swallow(mqtttest.Match{Type: wire.TypePuback, Direction: mqtttest.Down})
		d, err := c.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: []byte("x"), QoS: mqtt.AtLeastOnce})
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, 1, c.Stats().Inflight)
		b.Drop()
		_, err = d.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, uint64(2), b.Stats().Received, "at least once")
	})
}

func TestDuplicatedAcknowledgementIsHarmless(t *testing.T) {
	for _, packet := range []wire.PacketType{wire.TypePubrec, wire.TypePubcomp, wire.TypePuback} {
		bubble(t, func(t *testing.T) {
			b := mqtttest.NewBroker(t)
			c := connect(t, b, mqtt.Config{})
			b.Duplicate(mqtttest.Match{Type: packet, Times: -1})
			for qos := range mqtt.ExactlyOnce + 1 {
				publish(t, c, "t", "x", qos)
			}
			synctest.Wait()
			require.Equal(t, uint64(3), b.Stats().Received)
			require.Equal(t, uint64(1), c.Stats().Connections)
			b.Want(mqtttest.Match{Type: packet, Times: 2})
		})
	}
}

func TestMatchNarrowsAFault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c1, c2 := connect(t, b, mqtt.Config{ClientID: "c1"}), connect(t, b, mqtt.Config{ClientID: "c2"})
		b.Swallow(mqtttest.Match{
			Type: wire.TypePublish, Direction: mqtttest.Up, ClientID: "c1", Times: 2,
			If: func(p wire.Packet) bool { return p.(*wire.Publish).Topic == "unlucky" },
		})
		for _, c := range []*mqtt.Client{c1, c2} {
			for _, topic := range []string{"unlucky", "t", "unlucky", "unlucky"} {
				publish(t, c, topic, "x", mqtt.AtMostOnce)
			}
		}
		b.Want(mqtttest.Match{Type: wire.TypePublish, Times: 6})
		synctest.Wait()
		require.Equal(t, uint64(6), b.Stats().Received)
	})
}

func TestAnswerWithBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{Reconnect: quickly})
		events := c.Watch(t.Context())
		b.AnswerWith(mqtttest.Match{Type: wire.TypeSubscribe}, []byte{0x90, 0x01, 0x00})
		var cause error
		go func() {
			for e := range events {
				if e.State == mqtt.Reconnecting {
					cause = e.Err
					return
				}
			}
		}()
		sub := subscribe(t, c, "t") // on the second connection
		synctest.Wait()
		require.ErrorIs(t, cause, mqtt.MalformedPacket)
		publish(t, c, "t", "x", mqtt.AtLeastOnce)
		next(t, sub)
	})
}

func TestHoldUntilReleased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{})
		release := b.Hold(mqtttest.Match{Type: wire.TypePuback, Direction: mqtttest.Down})
		held, err := c.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: mqtt.AtLeastOnce})
		require.NoError(t, err)
		publish(t, c, "t", "overtakes", mqtt.AtLeastOnce)
		time.Sleep(time.Hour) // of the bubble
		require.Equal(t, 1, c.Stats().Inflight)
		release()
		_, err = held.Wait(t.Context())
		require.NoError(t, err)
		publish(t, c, "t", "as before", mqtt.AtLeastOnce)
	})
}

func TestRefuseConnect(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		bubble(t, func(t *testing.T) {
			b := mqtttest.NewBroker(t)
			connect(t, b, mqtt.Config{ClientID: "c1", Version: version, Reconnect: quickly})
			b.RefuseConnect(0, wire.Banned)
			b.RefuseConnect(2, wire.ServerUnavailable, "c1")
			connect(t, b, mqtt.Config{ClientID: "c2", Version: version})
			b.Drop("c1")
			b.Want(mqtttest.Match{Type: wire.TypeConnack, ClientID: "c1", Times: 4})
			refused := 0
			for _, e := range b.Timeline() {
				if ack, ok := e.Packet.(*wire.Connack); ok && ack.ReasonCode == wire.ServerUnavailable {
					refused++
				}
			}
			require.Equal(t, 2, refused)
			require.Zero(t, b.Stats().Denied)
		})
	}
}

func TestRefusalThatAnOldVersionCanNotSay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		b.RefuseConnect(1, wire.QuotaExceeded)
		_, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Version: mqtt.V311, Dial: b.Dial})
		require.Error(t, err)
		require.NotErrorIs(t, err, mqtt.QuotaExceeded)

		b.RefuseConnect(-1, wire.QuotaExceeded)
		for range 3 {
			_, err = mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial})
			require.ErrorIs(t, err, mqtt.QuotaExceeded)
		}
		b.Heal()
		connect(t, b, mqtt.Config{})
	})
}

func TestAnnouncedLimitBindsTheClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{Reconnect: quickly})
		b.Announce(func(ack *wire.Connack) {
			ack.ReceiveMaximum, ack.MaximumPacketSize, ack.MaximumQoS = 2, 100, new(wire.AtLeastOnce)
			ack.RetainAvailable, ack.WildcardSubscriptionAvailable = new(false), new(false)
		}, "c1")
		b.Drop()
		b.Want(mqtttest.Match{Type: wire.TypeConnack, Times: 2})
		synctest.Wait()
		var most atomic.Int32
		var open atomic.Int32
		b.Control(0, func(p *mqtttest.Packet) {
			switch p.Packet.(type) {
			case *wire.Publish:
				most.Store(max(most.Load(), open.Add(1)))
				p.Delay(time.Second)
			case *wire.Puback:
				open.Add(-1)
			}
		})
		require.Equal(t, uint16(2), c.ServerInfo().Limits.ReceiveMaximum)
		for range 9 {
			_, err := c.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: mqtt.AtLeastOnce})
			require.NoError(t, err)
		}
		require.NoError(t, c.Flush(t.Context()))
		require.Equal(t, int32(2), most.Load())
		err := c.Publish(t.Context(), "t", make([]byte, 100), mqtt.AtMostOnce)
		require.ErrorIs(t, err, mqtt.PacketTooLarge)
		require.Equal(t, uint64(2), c.Stats().Connections, "nothing was exceeded")
	})
}

func TestExceededAnnouncementIsPunished(t *testing.T) {
	id := uint16(1)
	publish := func(qos wire.QoS) *wire.Publish {
		p := &wire.Publish{Topic: "t", QoS: qos}
		if qos > 0 {
			p.PacketID = id
			id++
		}
		return p
	}
	retained, aliased := publish(0), publish(0)
	retained.Retain = true
	aliased.Properties = &wire.PublishProperties{TopicAlias: 3}
	large := publish(0)
	large.Payload = make([]byte, 100)
	subscribe := func(filter string, id uint32) *wire.Subscribe {
		return &wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: filter}}, SubscriptionID: id}
	}
	for _, test := range []struct {
		reason  wire.ReasonCode
		change  func(*wire.Connack)
		packets []wire.Packet
	}{
		{wire.ReceiveMaximumExceeded, func(a *wire.Connack) { a.ReceiveMaximum = 2 }, []wire.Packet{publish(2), publish(2), publish(2)}},
		{wire.PacketTooLarge, func(a *wire.Connack) { a.MaximumPacketSize = 50 }, []wire.Packet{large}},
		{wire.QoSNotSupported, func(a *wire.Connack) { a.MaximumQoS = new(wire.AtMostOnce) }, []wire.Packet{publish(1)}},
		{wire.RetainNotSupported, func(a *wire.Connack) { a.RetainAvailable = new(false) }, []wire.Packet{retained}},
		{wire.TopicAliasInvalid, func(a *wire.Connack) { a.TopicAliasMaximum = 2 }, []wire.Packet{aliased}},
		{wire.WildcardSubscriptionsNotSupported, func(a *wire.Connack) { a.WildcardSubscriptionAvailable = new(false) }, []wire.Packet{subscribe("a/#", 0)}},
		{wire.SharedSubscriptionsNotSupported, func(a *wire.Connack) { a.SharedSubscriptionAvailable = new(false) }, []wire.Packet{subscribe("$share/g/a", 0)}},
		{wire.SubscriptionIdentifiersNotSupported, func(a *wire.Connack) { a.SubscriptionIDAvailable = new(false) }, []wire.Packet{subscribe("a", 7)}},
	} {
		t.Run(test.reason.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := mqtttest.NewBroker(t)
				b.Announce(test.change)
				// PUBREC does not come, so QoS 2 messages stay open.
				b.Swallow(mqtttest.Match{Type: wire.TypePubrec, Times: -1})
				nc, err := b.Dial(t.Context(), "", "")
				require.NoError(t, err)
				defer nc.Close()
				write(t, nc, wire.V5, &wire.Connect{ClientID: "rude", CleanStart: true})
				b.WantConnected("rude")
				write(t, nc, wire.V5, test.packets...)
				b.Want(mqtttest.Match{Type: wire.TypeDisconnect, Direction: mqtttest.Down, If: func(p wire.Packet) bool {
					return p.(*wire.Disconnect).ReasonCode == test.reason
				}})
				b.WantDisconnected("rude")
			})
		})
	}
}
