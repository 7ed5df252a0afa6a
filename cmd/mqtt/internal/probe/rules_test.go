package probe

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// Each server breaks one rule, and the check about that rule says so.
func TestBrokenRulesAreFound(t *testing.T) {
	down := func(change func(m wire.Publish) []wire.Publish) func(*mqtttest.Packet) {
		return func(p *mqtttest.Packet) {
			if p.Direction != mqtttest.Down {
				return
			}
			var list []wire.Packet
			for _, m := range change(*p.Packet.(*wire.Publish)) {
				list = append(list, &m)
			}
			p.Replace(list...)
		}
	}
	properties := func(change func(*wire.PublishProperties)) func(*mqtttest.Packet) {
		return down(func(m wire.Publish) []wire.Publish {
			if m.Properties != nil {
				p := *m.Properties
				change(&p)
				m.Properties = &p
			}
			return []wire.Publish{m}
		})
	}
	for name, c := range map[string]struct {
		group, check string
		packets      wire.PacketType
		control      func(*mqtttest.Packet)
	}{
		"identifiers are lost": {groupFilters, "subscription identifiers", wire.TypePublish, properties(func(p *wire.PublishProperties) { p.SubscriptionIDs = nil })},
		"properties are lost":  {groupMessages, "properties arrive (request and response)", wire.TypePublish, properties(func(p *wire.PublishProperties) { p.UserProperties = nil })},
		"expiry stands still": {groupSessions, "messages expire", wire.TypePublish, properties(func(p *wire.PublishProperties) {
			if p.MessageExpiryInterval != nil {
				p.MessageExpiryInterval = new(uint32(60))
			}
		})},
		"retain flag is lost": {groupRetained, "kept and sent to new subscriptions", wire.TypePublish, down(func(m wire.Publish) []wire.Publish {
			m.Retain = false
			return []wire.Publish{m}
		})},
		"copies in a group": {groupFilters, "shared subscription", wire.TypePublish, down(func(m wire.Publish) []wire.Publish { return []wire.Publish{m, m} })},
		"no-local is ignored": {groupFilters, "no-local", wire.TypeSubscribe, func(p *mqtttest.Packet) {
			s := *p.Packet.(*wire.Subscribe)
			s.Filters = append([]wire.SubscribeFilter(nil), s.Filters...)
			for i := range s.Filters {
				s.Filters[i].NoLocal = false
			}
			p.Replace(&s)
		}},
		"retain handling is ignored": {groupRetained, "retain handling: send never", wire.TypeSubscribe, func(p *mqtttest.Packet) {
			s := *p.Packet.(*wire.Subscribe)
			s.Filters = append([]wire.SubscribeFilter(nil), s.Filters...)
			for i := range s.Filters {
				s.Filters[i].RetainHandling = wire.SendRetained
			}
			p.Replace(&s)
		}},
		"receive maximum is ignored": {groupFilters, "the client's receive maximum is kept", wire.TypeConnect, func(p *mqtttest.Packet) {
			c := *p.Packet.(*wire.Connect)
			c.ReceiveMaximum = 0
			p.Replace(&c)
		}},
		"maximum packet size is ignored": {groupFilters, "the client's maximum packet size is kept", wire.TypeConnect, func(p *mqtttest.Packet) {
			c := *p.Packet.(*wire.Connect)
			c.MaximumPacketSize = 0
			p.Replace(&c)
		}},
		"order is changed": {groupMessages, "order of messages", wire.TypePublish, func() func(*mqtttest.Packet) {
			var kept *wire.Publish
			return func(p *mqtttest.Packet) {
				m, ok := p.Packet.(*wire.Publish)
				switch {
				case !ok || p.Direction != mqtttest.Down:
				case string(m.Payload) == "3":
					c := *m
					c.Payload = []byte("3")
					kept = &c
					p.Drop()
				case string(m.Payload) == "4" && kept != nil:
					p.Replace(m, kept)
				}
			}
		}()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := mqtttest.NewBroker(t)
			s, err := newSuiteOf(t, b.URL(), mqtt.Config{})
			require.NoError(t, err)
			b.Control(c.packets, c.control)
			found := s.only(t, c.group, c.check)
			require.Equal(t, Wrong, found.Answer, "%+v", found)
			require.NotEmpty(t, found.Note)
		})
	}
}

func TestWillThatDoesNotWaitIsFound(t *testing.T) {
	t.Parallel()
	b := mqtttest.NewBroker(t)
	s, err := newSuiteOf(t, b.URL(), mqtt.Config{})
	require.NoError(t, err)
	b.Control(wire.TypeConnect, func(p *mqtttest.Packet) {
		if c := *p.Packet.(*wire.Connect); c.Will != nil {
			w := *c.Will
			w.DelayInterval = 0
			c.Will = &w
			p.Replace(&c)
		}
	})
	// A delay that no slow machine takes for itself.
	f, err := will(t.Context(), s, 100, func(k *peer) { k.cut() })
	require.NoError(t, err)
	require.Equal(t, Wrong, f.answer)
}
