package broker

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// heap returns what is in use.
func heap() int {
	var stats runtime.MemStats
	for last := uint64(0); ; last = stats.HeapAlloc {
		runtime.GC()
		runtime.ReadMemStats(&stats)
		if last <= stats.HeapAlloc+1000 && last > 0 {
			return int(stats.HeapAlloc)
		}
	}
}

// TestMemoryIsWhatItTakes holds what is charged against the heap: neither is more than
// twice the other.
func TestMemoryIsWhatItTakes(t *testing.T) {
	const n = 2000
	for name, fill := range map[string]func(t *testing.T, b *Broker){
		"session": func(t *testing.T, b *Broker) {
			for i := range n {
				s, _ := join(t, b, wire.V5, durableConnect(wire.V5, fmt.Sprint("client ", i)))
				s.cut()
			}
		},
		"session with a will": func(t *testing.T, b *Broker) {
			for i := range n {
				p := durableConnect(wire.V5, fmt.Sprint("client ", i))
				p.Will = &wire.Will{Topic: "some/topic", Payload: make([]byte, 500), DelayInterval: 50, ContentType: "text"}
				s, _ := join(t, b, wire.V5, p)
				s.cut()
			}
		},
		"subscription": func(t *testing.T, b *Broker) {
			s, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
			for i := range n {
				s.subscribe(filter(fmt.Sprintf("building/%d/+/temperature", i), 1))
			}
			s.cut()
		},
		"plain subscription": func(t *testing.T, b *Broker) {
			s, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
			for i := range n {
				s.subscribe(filter(fmt.Sprintf("building/%d/temperature", i), 1))
			}
			s.cut()
		},
		"shared subscription": func(t *testing.T, b *Broker) {
			s, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
			for i := range n {
				s.subscribe(filter(fmt.Sprintf("$share/group/building/%d/+/temperature", i), 1))
			}
			s.cut()
		},
		"message": func(t *testing.T, b *Broker) {
			s, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
			s.subscribe(filter("#", 1))
			s.cut()
			for i := range n {
				require.NoError(t, b.Publish(&wire.Publish{Topic: fmt.Sprint("some/topic/", i), Payload: make([]byte, 100), QoS: 1}))
			}
		},
		"message with properties and identifier": func(t *testing.T, b *Broker) {
			s, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
			s.send(&wire.Subscribe{PacketID: 1, SubscriptionID: 7, Filters: []wire.SubscribeFilter{filter("#", 1)}})
			receive[*wire.Suback](s)
			s.cut()
			for i := range n {
				require.NoError(t, b.Publish(&wire.Publish{
					Topic: fmt.Sprint("some/topic/", i), Payload: make([]byte, 100), QoS: 1,
					Properties: &wire.PublishProperties{UserProperties: []wire.UserProperty{{Name: "name", Value: fmt.Sprint(i)}}},
				}))
			}
		},
		"message for many": func(t *testing.T, b *Broker) {
			for i := range 50 {
				s, _ := join(t, b, wire.V5, durableConnect(wire.V5, fmt.Sprint(i)))
				s.subscribe(filter("#", 1))
				s.cut()
			}
			for range 50 {
				require.NoError(t, b.Publish(&wire.Publish{Topic: "some/topic", Payload: make([]byte, 5000), QoS: 1}))
			}
		},
		"retained message": func(t *testing.T, b *Broker) {
			for i := range n {
				require.NoError(t, b.Publish(retain(fmt.Sprintf("building/%d/temperature", i), "21.5")))
			}
		},
		"unfinished messages": func(t *testing.T, b *Broker) {
			s, _ := join(t, b, wire.V311, durableConnect(wire.V311, "c"))
			for i := range 10_000 {
				s.send(&wire.Publish{Topic: "t", PacketID: uint16(i + 1), QoS: 2})
				receive[*wire.Pubrec](s)
			}
			s.cut()
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Config{}, func(t *testing.T, b *Broker) {
				clean(t, b, "warm").cut()
				before, charged := heap(), b.Stats().Memory
				fill(t, b)
				synctest.Wait()
				took, charged := heap()-before, b.Stats().Memory-charged
				t.Logf("%d bytes, charged %d", took, charged)
				require.Less(t, took, 2*charged)
				require.Less(t, charged, 2*took)
			})
		})
	}
}
