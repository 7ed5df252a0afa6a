package broker

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// TestAKilledBrokerGoesOnAsMosquittoDoes runs one conversation with both, kills them
// in the middle of all kinds of exchanges, and compares what clients see then.
// Mosquitto gets help to have everything on the disk that it has said.
func TestAKilledBrokerGoesOnAsMosquittoDoes(t *testing.T) {
	theirs := mosquitto.Start(t, mosquitto.Options{Durable: true})
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		t.Run(v.String(), func(t *testing.T) {
			memory := store.Memory()
			ours, err := Open(Config{Store: memory})
			require.NoError(t, err)
			t.Cleanup(func() { ours.Close() })
			want := killedConversation(t, v, func() net.Conn {
				nc, err := net.Dial("tcp", theirs.Addr())
				require.NoError(t, err)
				return nc
			}, func() {
				theirs.Kill()
				theirs.Restart()
			})
			got := killedConversation(t, v, func() net.Conn {
				nc, err := ours.Dial(t.Context())
				require.NoError(t, err)
				return nc
			}, func() {
				ours.DropConnections()
				ours, err = Open(Config{Store: copyOf(t, memory)})
				require.NoError(t, err)
				t.Cleanup(func() { ours.Close() })
			})
			// Mosquitto 2.0.11 forgets over a restart that PUBREC has come, and repeats a
			// PUBLISH that counts twice then. [MQTT-4.3.3-6] we do not.
			i := slices.Index(want, fmt.Sprintf(`PUBLISH killed/%d/a "2", again: true, number 2`, int(v)))
			require.Positive(t, i)
			want = slices.Insert(slices.Delete(want, i, i+1), i+1, "PUBREL number 2")
			require.Equal(t, want, got)
			require.Contains(t, got, "session present: true")
		})
	}
}

// copyOf returns what a crash at this moment would leave.
func copyOf(t *testing.T, m *store.Mem) *store.Mem {
	t.Helper()
	var ops []store.Op
	for record, err := range m.Scan(nil) {
		require.NoError(t, err)
		ops = append(ops, store.Op{Key: slices.Clone(record.Key), Value: slices.Clone(record.Value)})
	}
	found := store.Memory()
	require.NoError(t, found.Commit(ops))
	return found
}

// killedConversation returns what a client sees that comes back after kill.
func killedConversation(t *testing.T, v wire.Version, dial func() net.Conn, kill func()) (seen []string) {
	topic := func(name string) string { return fmt.Sprint("killed/", int(v), "/", name) }
	enter := func(id string) *script {
		s := overSocket(t, dial(), v)
		s.send(durableConnect(v, fmt.Sprint(id, int(v))))
		seen = append(seen, fmt.Sprint("session present: ", receive[*wire.Connack](s).SessionPresent))
		return s
	}
	sub, pub := enter("sub"), enter("pub")
	sub.subscribe(filter(topic("#"), 2))
	for i, qos := range []wire.QoS{1, 2, 2} {
		durably(pub, &wire.Publish{Topic: topic("a"), Payload: fmt.Append(nil, i), QoS: qos})
	}
	durably(pub, &wire.Publish{Topic: topic("r"), Payload: []byte("kept"), QoS: 1, Retain: true})
	var ids []uint16
	for range 4 {
		p := receive[*wire.Publish](sub)
		ids = append(ids, p.PacketID)
	}
	// The last of QoS 2 is half way to the subscriber, another half way from the
	// publisher.
	sub.send(&wire.Pubrec{PacketID: ids[2]})
	require.Equal(t, ids[2], receive[*wire.Pubrel](sub).PacketID)
	open := &wire.Publish{Topic: topic("none"), Payload: []byte("once"), QoS: 2, PacketID: 500}
	pub.send(open)
	receive[*wire.Pubrec](pub)

	kill()
	sub, pub = enter("sub"), enter("pub")
	var repeats []string
	for range 4 {
		packet, err := sub.next()
		require.NoError(t, err)
		switch p := packet.(type) {
		case *wire.Publish:
			repeats = append(repeats, fmt.Sprintf("PUBLISH %s %q, again: %v, number %d", p.Topic, p.Payload, p.Duplicate, slices.Index(ids, p.PacketID)))
		case *wire.Pubrel:
			repeats = append(repeats, fmt.Sprintf("PUBREL number %d", slices.Index(ids, p.PacketID)))
		}
	}
	slices.Sort(repeats) // PUBRELs go first with us, which the specification leaves open
	seen = append(seen, repeats...)
	open.Duplicate = true
	pub.send(open)
	receive[*wire.Pubrec](pub)
	pub.send(&wire.Pubrel{PacketID: 500})
	seen = append(seen, fmt.Sprint("PUBCOMP ", receive[*wire.Pubcomp](pub).ReasonCode))
	other := overSocket(t, dial(), v)
	other.send(&wire.Connect{ClientID: "other", CleanStart: true})
	receive[*wire.Connack](other)
	other.subscribe(filter(topic("#"), 0))
	p := receive[*wire.Publish](other)
	return append(seen, fmt.Sprintf("retained %q %v", p.Payload, p.Retain))
}
