package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

// What NATS 2.15.3 does with any client. When one of these fails, NATS has changed, and
// docs/scaling.md has to say so.
func TestReplays(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nodeOptions{AckWait: 20 * time.Second})
	for _, replay := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"a shared filter is taken and brings nothing", replayShared},
		{"a resumed session begins with new messages", replayResumed},
		{"a message at QoS 2 is lost with the leader of its stream", replayLost},
	} {
		t.Run(replay.name, func(t *testing.T) {
			c.t = t
			replay.run(t, c)
		})
	}
}

// The filter of a shared subscription is one like any other to NATS, and no topic matches
// it. The answer says that it is fine.
func replayShared(t *testing.T, c *cluster) {
	worker, _ := c.nodes[0].dial(t, "shared")
	worker.subscribe("$share/group/s/+", wire.AtLeastOnce)
	worker.subscribe("s/+", wire.AtLeastOnce)
	publisher, _ := c.nodes[0].dial(t, "sharer")
	publisher.publish("s/a", "1", 1)
	publisher.publish("s/a", "2", 2)
	for i, payload := range []string{"1", "2"} { // once each, by the other filter
		p := take[*wire.Publish](worker)
		require.Equal(t, payload, string(p.Payload), "%d", i)
		worker.send(&wire.Puback{PacketID: p.PacketID})
	}
	worker.nc.Close()
}

// [MQTT-4.4.0-1] a server repeats what was not acknowledged when the client comes back,
// [MQTT-4.6.0-6] and keeps the order of a topic. NATS repeats it when AckWait is over, and
// sends what is new meanwhile.
func replayResumed(t *testing.T, c *cluster) {
	worker, _ := c.nodes[0].dial(t, "resumed")
	worker.subscribe("r/+", wire.AtLeastOnce)
	publisher, _ := c.nodes[1].dial(t, "resumer")
	publisher.publish("r/a", "1", 1)
	require.Equal(t, "1", string(take[*wire.Publish](worker).Payload))
	worker.nc.Close() // without PUBACK

	again, present := c.nodes[2].dial(t, "resumed")
	require.True(t, present)
	publisher.publish("r/a", "2", 2)
	var order []string
	for range 2 {
		p := take[*wire.Publish](again)
		order = append(order, string(p.Payload))
		again.send(&wire.Puback{PacketID: p.PacketID})
	}
	require.Equal(t, []string{"2", "1"}, order)
}

// [MQTT-4.3.3-11] a server that has sent PUBREC owns the message. At PUBREL, NATS stores it
// for the subscribers and deletes the copy that it has held, both at once. When the first
// fails, the copy is gone. It ends the connection, and answers the next PUBREL with PUBCOMP.
func replayLost(t *testing.T, c *cluster) {
	delivered, held := c.leaders("$MQTT_msgs", "$MQTT_qos2in")
	n := c.nodes[nodes-delivered-held] // the third one
	worker, _ := n.dial(t, "loser")
	worker.subscribe("l/+", wire.AtLeastOnce)
	publisher, _ := n.dial(t, "lost")
	publisher.send(&wire.Publish{Topic: "l/a", Payload: []byte("1"), QoS: wire.ExactlyOnce, PacketID: 7})
	require.EqualValues(t, 7, take[*wire.Pubrec](publisher).PacketID)
	c.kill(delivered)
	publisher.send(&wire.Pubrel{PacketID: 7})
	_, err := publisher.next()
	require.Error(t, err, "the connection ends")
	c.wantServing(n)

	publisher, present := n.dial(t, "lost")
	require.True(t, present)
	publisher.send(&wire.Pubrel{PacketID: 7})
	require.EqualValues(t, 7, take[*wire.Pubcomp](publisher).PacketID)

	other := c.connect("other", nodes-delivered-held, loadOptions{})
	require.NoError(t, other.client.Publish(t.Context(), "l/a", []byte("2"), mqtt.AtLeastOnce))
	require.Equal(t, "2", string(take[*wire.Publish](worker).Payload), "the first one never comes")
}
