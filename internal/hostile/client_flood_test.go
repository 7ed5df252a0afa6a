package hostile

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

// What the client of the short form accepts; in the long form the defaults hold.
const (
	smallBuffer = 1 << 20
	smallPacket = 4 << 20
)

func stuck(qos mqtt.QoS) func(a *attack) ClientSetup {
	return func(a *attack) ClientSetup {
		return ClientSetup{
			Version: mqtt.V5, Filter: "x/#", QoS: qos, Flapping: true,
			BufferBytes: a.of(smallBuffer, 0), MaximumPacketSize: uint32(a.of(smallPacket, 0)),
		}
	}
}

func taking(a *attack) ClientSetup {
	s := stuck(2)(a)
	s.Taking = true
	return s
}

// afterSubscribe waits for SUBSCRIBE, answers it and goes on with f. On later connections
// the session is there and f comes at once.
func afterSubscribe(a *attack, f func(p *Peer)) *Server {
	return &Server{Script: func(p *Peer) {
		subscribe, err := Await[*wire.Subscribe](p)
		if err != nil || p.Send(Answer(subscribe)) != nil {
			return
		}
		f(p)
	}}
}

// afterFirstSubscribe answers the first SUBSCRIBE only, and goes on with f at once on
// later connections.
func afterFirstSubscribe(a *attack, f func(p *Peer)) *Server {
	var begun atomic.Bool
	polite := afterSubscribe(a, f)
	return &Server{Script: func(p *Peer) {
		if begun.Swap(true) {
			f(p)
			return
		}
		polite.Script(p)
	}}
}

// floodScenarios are about what a server sends.
func floodScenarios() (all []clientScenario) {
	packet := func(a *attack) int { return a.of(smallPacket, 255<<20) }
	for qos := range wire.QoS(3) {
		all = append(all, clientScenario{
			name:  fmt.Sprintf("one PUBLISH of user properties at QoS %d", qos),
			setup: taking,
			server: func(a *attack) *Server {
				return afterSubscribe(a, func(p *Peer) {
					b := PublishOfProperties("x/y", byte(qos), 1, (packet(a)-100)/5)
					if a.landed.Add(int64(p.Flood(b, 1, attackPatience))); p.Send(&wire.Publish{Topic: "x/y"}) == nil {
						go func() { <-time.After(a.linger()); a.done() }()
					}
					p.Drain()
					a.done()
				})
			},
			limit: packet, multiple: 4, least: 1 << 20,
		})
		all = append(all,
			pour(fmt.Sprintf("payloads for a stuck consumer at QoS %d", qos), qos, 2, 0,
				func(id uint16) []byte { return PublishOfPayload("x/y", byte(qos), id, 100_000) }),
			pour(fmt.Sprintf("properties for a stuck consumer at QoS %d", qos), qos, 4, 0,
				func(id uint16) []byte { return PublishOfProperties("x/y", byte(qos), id, 20_000) }),
			pour(fmt.Sprintf("long topics for a stuck consumer at QoS %d", qos), qos, 2, 0,
				func(id uint16) []byte {
					return PublishOfPayload(fmt.Sprint("x/", id, strings.Repeat("t", 60_000)), byte(qos), id, 1)
				}),
			pour(fmt.Sprintf("payloads over a flapping line at QoS %d", qos), qos, 2, 10,
				func(id uint16) []byte { return PublishOfPayload("x/y", byte(qos), id, 100_000) }),
			pour(fmt.Sprintf("properties over a flapping line at QoS %d", qos), qos, 4, 10,
				func(id uint16) []byte { return PublishOfProperties("x/y", byte(qos), id, 20_000) }),
			pour(fmt.Sprintf("small messages over a flapping line at QoS %d", qos), qos, 4, 1000,
				func(id uint16) []byte { return PublishOfPayload("x/y", byte(qos), id, 1) }),
		)
	}
	for name, b := range map[string][]byte{
		"PINGRESP":                {0xd0, 0},
		"PUBACK":                  encode(&wire.Puback{PacketID: 9}),
		"PUBREC":                  encode(&wire.Pubrec{PacketID: 9}),
		"PUBREL":                  encode(&wire.Pubrel{PacketID: 9}),
		"PUBCOMP":                 encode(&wire.Pubcomp{PacketID: 9}),
		"SUBACK":                  encode(&wire.Suback{PacketID: 9, ReasonCodes: []wire.ReasonCode{0}}),
		"UNSUBACK":                encode(&wire.Unsuback{PacketID: 9, ReasonCodes: []wire.ReasonCode{0}}),
		"AUTH":                    encode(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "endless"}),
		"DISCONNECT":              encode(&wire.Disconnect{ReasonCode: wire.ServerBusy}),
		"empty QoS 0":             PublishOfPayload("x/y", 0, 0, 0),
		"unclaimed QoS 1":         PublishOfPayload("nobody", 1, 7, 10),
		"the same QoS 2":          PublishOfPayload("x/y", 2, 7, 10),
		"unfinished QoS 2":        twos(65_535),
		"PUBLISH nobody wants":    PublishOfPayload("nobody", 0, 0, 1000),
		"empty topics":            {0x30, 3, 0, 0, 0},
		"packets too large":       Claim(0x30, 260<<20),
		"packets that never come": Claim(0x30, 3<<20),
	} {
		all = append(all, clientScenario{
			name: "flood of " + name, setup: taking,
			server: func(a *attack) *Server {
				piece := repeat(b, max(1, 64<<10/len(b)))
				return afterFirstSubscribe(a, func(p *Peer) {
					n := p.Flood(piece, a.times(50, 4000), time.Second)
					if a.landed.Add(int64(n)); a.connections.Add(1) > 5 {
						a.done()
					}
				})
			},
			// Answers that the server does not read.
			limit: func(*attack) int { return 4 << 20 }, multiple: 4, least: 1000,
		})
	}
	return all
}

// twos returns n messages of QoS 2.
func twos(n int) (b []byte) {
	for id := range n {
		b = append(b, PublishOfPayload("x/y", 2, uint16(id+1), 0)...)
	}
	return b
}

// linger is how long a server holds still when it has sent what there is.
func (a *attack) linger() time.Duration { return time.Duration(a.of(300, 5000)) * time.Millisecond }

// pour sends messages to a consumer that takes none. With cut the line breaks after so
// many, and the session is lost.
func pour(name string, qos wire.QoS, multiple, cut int, publish func(id uint16) []byte) clientScenario {
	return clientScenario{
		name: name, setup: stuck(mqtt.QoS(qos)),
		server: func(a *attack) *Server {
			return afterSubscribe(a, func(p *Peer) {
				go p.Drain()
				id := uint16(0)
				for n := range max(cut+1, a.times(600, 3000)) {
					id++
					m := p.Flood(publish(id), 1, 2*time.Second)
					if a.landed.Add(int64(m)) > int64(a.of(48<<20, 512<<20)) || m == 0 && (cut == 0 || n < 2) {
						break
					}
					if cut > 0 && n == cut && a.connections.Add(1) < 40 {
						return
					}
				}
				a.done()
				<-a.ctx.Done()
			})
		},
		limit: func(a *attack) int {
			// What one Subscription may hold, and half a packet more.
			n := a.of(smallBuffer, 16<<20)
			if qos > 0 {
				n *= 2
			}
			return n + 1<<20
		},
		multiple: multiple, least: 100_000,
		check: func(*testing.T, *attack, Report) {},
	}
}
