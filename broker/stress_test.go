package broker

import (
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// TestEverythingAtOnce lets clients fight for identifiers, subscribe, publish and
// die while the program interferes. The race detector and Close are the judges.
func TestEverythingAtOnce(t *testing.T) {
	b := New(Config{QueuedMessages: 50, RetainedMessages: 5, SessionExpiryMaximum: time.Second})
	var clients sync.WaitGroup
	for seed := range uint64(8) {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(seed, 1))
			for range 60 {
				if err := oneLife(t, b, random); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	clients.Go(func() {
		for i := range 200 {
			if err := b.Publish(&wire.Publish{Topic: "a/1", Payload: []byte("x"), QoS: wire.QoS(i % 3)}); err != nil {
				t.Error(err)
			}
			b.Disconnect(fmt.Sprint("c", i%4), wire.AdministrativeAction)
			if i%50 == 0 {
				b.DropConnections()
			}
			_ = b.Stats()
		}
	})
	clients.Wait()
	require.NoError(t, b.Close())
	require.Zero(t, b.Stats().Connections)
}

// oneLife connects, sends packets blindly and goes in some way.
func oneLife(t *testing.T, b *Broker, random *rand.Rand) error {
	nc, err := b.Dial(t.Context())
	if err != nil {
		return err
	}
	defer nc.Close()
	v := versions[random.IntN(3)]
	connect := &wire.Connect{ClientID: fmt.Sprint("c", random.IntN(4)), CleanStart: random.IntN(2) == 0, Will: &wire.Will{Topic: "a/will", Retain: true, Payload: []byte("x")}}
	if v == wire.V5 {
		connect.SessionExpiryInterval = uint32(random.IntN(2))
	}
	packets := []wire.Packet{connect}
	for id := range uint16(1 + random.IntN(40)) {
		topic := fmt.Sprint("a/", random.IntN(3))
		switch random.IntN(6) {
		case 0:
			packets = append(packets, &wire.Subscribe{PacketID: 1 + id, Filters: []wire.SubscribeFilter{filter(topic, 2), filter("a/#", 1), filter("$share/g/+/1", 1)}})
		case 1:
			packets = append(packets, &wire.Unsubscribe{PacketID: 1 + id, Filters: []string{topic, "a/#"}})
		case 2:
			packets = append(packets, &wire.Puback{PacketID: 1 + id}, &wire.Pingreq{})
		default:
			p := &wire.Publish{Topic: topic, Payload: []byte("payload"), QoS: wire.QoS(random.IntN(3)), Retain: random.IntN(4) == 0}
			if p.QoS > 0 {
				p.PacketID = 1 + id
			}
			packets = append(packets, p)
		}
	}
	var text []byte
	for _, p := range packets {
		if text, err = p.Append(text, v); err != nil {
			return err
		}
	}
	if _, err := nc.Write(text); err != nil {
		return nil // taken over or dropped meanwhile
	}
	if random.IntN(2) == 0 {
		_, err = io.CopyN(io.Discard, nc, 4)
		if err != nil {
			return nil
		}
	}
	return nil
}
