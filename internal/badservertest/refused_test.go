package badservertest

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// A session that holds messages which we have to refuse, of both kinds, does not keep
// the rest from arriving, nor our own messages.
func TestMessagesThatHaveToBeRefusedDoNotStopTheSession(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for qos := mqtt.AtMostOnce; qos <= mqtt.ExactlyOnce; qos++ {
			for name, bad := range map[string]func(p *wire.Publish) []byte{
				"ill-formed": func(p *wire.Publish) []byte {
					p.Topic = "s/\xff"
					b, _ := p.Append(nil, v)
					return b
				},
				"wildcard": func(p *wire.Publish) []byte {
					p.Topic = "s/#"
					b, _ := p.Append(nil, v)
					return b
				},
				"too large": func(p *wire.Publish) []byte {
					p.Payload = make([]byte, 5000)
					b, _ := p.Append(nil, v)
					return b
				},
			} {
				t.Run(fmt.Sprint(v, "/", qos, "/", name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := mqtttest.NewBroker(t)
						b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
							if m := p.Packet.(*wire.Publish); p.Direction == mqtttest.Down && m.Topic == "s/bad" {
								p.ReplaceBytes(bad(m))
							}
						})
						c, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial, Version: v, ClientID: "c", Resume: true, MaximumPacketSize: 1000})
						require.NoError(t, err)
						defer c.Close()
						sub, err := c.Subscribe(t.Context(), "s/#", mqtt.ExactlyOnce)
						require.NoError(t, err)
						events := c.Watch(t.Context())
						send := func() {
							b.Publish(&wire.Publish{Topic: "s/bad", QoS: qos, Retain: qos == 0})
							b.Publish(&wire.Publish{Topic: "s/good", QoS: 1, Payload: []byte("good")})
						}
						send()
						require.NoError(t, c.Publish(t.Context(), "mine", nil, mqtt.AtLeastOnce))
						require.Equal(t, "good", string(Next(t, sub).Payload))
						if qos == 0 {
							return // it came once
						}
						require.EqualValues(t, 1, c.Stats().Refused)
						require.EqualValues(t, 1, sub.Dropped())
						require.True(t, Seen(events, func(e mqtt.Event) bool {
							fault, ok := errors.AsType[*wire.Error](e.Err)
							return ok && fault.Packet == wire.TypePublish && e.Subscription == sub && e.State == mqtt.Connected
						}))
						require.LessOrEqual(t, c.Stats().Connections, uint64(5))
						connections := c.Stats().Connections
						send()
						require.Equal(t, "good", string(Next(t, sub).Payload))
						require.Equal(t, connections, c.Stats().Connections, "now at once")
						time.Sleep(time.Hour)
						require.NoError(t, sub.Err())
						require.Zero(t, c.Stats().Unfinished)
					})
				})
			}
		}
	}
}
