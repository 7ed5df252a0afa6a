package hostile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

// answerScenarios are about how a server answers, or does not.
func answerScenarios() []clientScenario {
	packet := func(a *attack) int { return a.of(smallPacket, 255<<20) }
	once := func(a *attack) ClientSetup {
		s := taking(a)
		s.Once = time.Duration(a.of(2, 15)) * time.Second
		return s
	}
	return []clientScenario{
		{
			name: "CONNACK of user properties", setup: once, refused: true,
			server: func(a *attack) *Server {
				return &Server{Greet: func(p *Peer, _ *wire.Connect) error {
					defer a.done()
					b := Packet(0x20, []byte{0, 0}, EmptyProperties((packet(a)-100)/5))
					a.landed.Add(int64(p.Flood(b, 1, attackPatience)))
					<-time.After(a.linger())
					return nil
				}}
			},
			limit: packet, multiple: 4, least: 1,
		},
		{
			name: "CONNACK that is claimed and never comes", setup: once, refused: true,
			server: func(a *attack) *Server {
				return &Server{Greet: func(p *Peer, _ *wire.Connect) error {
					defer a.done()
					a.landed.Add(1)
					_, _ = p.Write(Claim(0x20, packet(a)-100))
					p.Drain()
					return nil
				}}
			},
			least: 1,
		},
		{
			name: "CONNACK byte by byte", setup: once, refused: true,
			server: func(a *attack) *Server {
				return &Server{Greet: func(p *Peer, _ *wire.Connect) error {
					defer a.done()
					for _, c := range Packet(0x20, []byte{0, 0}, []byte{0x83, 0x20, 0x1f, 0x10, 0}, bytes.Repeat([]byte{'x'}, 4096)) {
						if _, err := p.Write([]byte{c}); err != nil {
							break
						}
						a.landed.Add(1)
						<-time.After(20 * time.Millisecond)
					}
					return nil
				}}
			},
			least: 10,
		},
		{
			name: "nothing in answer to CONNECT", setup: once, refused: true,
			server: func(a *attack) *Server {
				return &Server{Greet: func(p *Peer, _ *wire.Connect) error { a.landed.Add(1); p.Drain(); a.done(); return nil }}
			},
			least: 1,
		},
		{
			name: "SUBACK of user properties", setup: once, refused: true,
			server: func(a *attack) *Server {
				return &Server{Script: func(p *Peer) {
					defer a.done()
					if s, err := Await[*wire.Subscribe](p); err == nil {
						b := Packet(0x90, []byte{byte(s.PacketID >> 8), byte(s.PacketID)}, EmptyProperties((packet(a)-100)/5), []byte{0})
						a.landed.Add(int64(p.Flood(b, 1, attackPatience)))
						<-time.After(a.linger())
					}
				}}
			},
			limit: packet, multiple: 4, least: 1,
		},
		{
			name: "SUBACK of a million codes", setup: once, refused: true,
			server: func(a *attack) *Server {
				return &Server{Script: func(p *Peer) {
					defer a.done()
					if s, err := Await[*wire.Subscribe](p); err == nil {
						b := Packet(0x90, []byte{byte(s.PacketID >> 8), byte(s.PacketID), 0}, make([]byte, packet(a)-100))
						a.landed.Add(int64(p.Flood(b, 1, attackPatience)))
						<-time.After(a.linger())
					}
				}}
			},
			limit: packet, multiple: 4, least: 1,
		},
		{
			name: "PUBACK of user properties", setup: taking,
			server: func(a *attack) *Server {
				return &Server{Script: func(p *Peer) {
					for {
						packet, err := p.Receive()
						if err != nil {
							return
						}
						publish, ok := packet.(*wire.Publish)
						if !ok {
							_ = p.Reply(packet)
							continue
						}
						b := Packet(0x40, []byte{byte(publish.PacketID >> 8), byte(publish.PacketID), 0}, EmptyProperties(200_000))
						a.landed.Add(int64(p.Flood(b, 1, attackPatience)))
						if a.connections.Add(1) > 20 {
							a.done()
						}
					}
				}}
			},
			// Each is judged by itself; a few may be under way.
			limit: func(*attack) int { return 4 << 20 }, multiple: 4, least: 1,
		},
		{
			name: "DISCONNECT of user properties", setup: once, refused: true,
			server: func(a *attack) *Server {
				return &Server{Script: func(p *Peer) {
					b := Packet(0xe0, []byte{0x89}, EmptyProperties((packet(a)-100)/5))
					a.landed.Add(int64(p.Flood(b, 1, attackPatience)))
					if a.connections.Add(1) > int64(a.of(5, 2)) {
						a.done()
					}
				}}
			},
			limit: packet, multiple: 4, least: 1,
		},
		{
			name: "a server that never reads", refused: true,
			setup: func(a *attack) ClientSetup {
				return ClientSetup{Version: mqtt.V5, QueueBytes: a.of(4<<20, 0)}
			},
			server: func(a *attack) *Server {
				return &Server{Script: func(p *Peer) { a.landed.Add(1); <-a.ctx.Done() }}
			},
			during: func(t *testing.T, a *attack, victim *process) {
				got, err := call[Result](victim, "Pour", struct{ N, Size int }{100_000, 10_000})
				require.NoError(t, err)
				require.Less(t, got.OK, 100_000)
				require.Positive(t, got.OK)
				calls, err := call[Result](victim, "Calls", 3)
				require.NoError(t, err)
				require.Equal(t, 3, calls.Returned)
				a.done()
			},
			// The queue, what the writer has taken, and what lies between the two.
			limit: func(a *attack) int { return a.of(4<<20, 64<<20) + 4<<20 }, multiple: 2, least: 1,
		},
		{
			name: "PUBREC for everything and PUBCOMP for nothing", setup: taking,
			server: func(a *attack) *Server {
				return &Server{Script: func(p *Peer) {
					for {
						packet, err := p.Receive()
						if err != nil {
							return
						}
						if _, ok := packet.(*wire.Pubrel); !ok {
							_ = p.Reply(packet)
						}
						if a.landed.Add(1) > 20 {
							a.done()
						}
					}
				}}
			},
		},
		{
			name: "retained messages behind SUBSCRIBE", setup: stuck(0),
			server: func(a *attack) *Server {
				return afterSubscribe(a, func(p *Peer) {
					go p.Drain()
					for n := range a.times(20_000, 1_000_000) {
						b := retained(PublishOfPayload(fmt.Sprint("x/", n), 0, 0, 500))
						if a.landed.Add(int64(p.Flood(b, 1, attackPatience))); a.ctx.Err() != nil {
							return
						}
					}
					a.done()
					<-a.ctx.Done()
				})
			},
			limit: func(a *attack) int { return a.of(smallBuffer, 16<<20) + 1<<20 }, multiple: 2, least: 1 << 20,
		},
		{
			name: "topic aliases of long topics",
			setup: func(a *attack) ClientSetup {
				s := taking(a)
				s.TopicAliasMaximum = 65_535
				return s
			},
			server: func(a *attack) *Server {
				return afterSubscribe(a, func(p *Peer) {
					go p.Drain()
					for alias := range a.times(2000, 65_535) {
						topic := fmt.Sprint("x/", alias, "/", strings.Repeat("t", 60_000))
						if p.Send(&wire.Publish{Topic: topic, Properties: &wire.PublishProperties{TopicAlias: uint16(alias + 1)}}) != nil {
							break
						}
						a.landed.Add(1)
					}
					a.done()
				})
			},
			limit: func(a *attack) int { return a.of(16<<20, 16<<20) }, multiple: 2, least: 10,
		},
		{
			name: "AUTH without end before CONNACK", refused: true,
			setup: func(a *attack) ClientSetup {
				return ClientSetup{Version: mqtt.V5, Endless: true, Once: 3 * time.Second}
			},
			server: func(a *attack) *Server {
				return &Server{Greet: func(p *Peer, _ *wire.Connect) error { defer a.done(); authenticate(a, p); return nil }}
			},
			limit: func(*attack) int { return 4 << 20 }, multiple: 2, least: 10,
		},
		{
			name:  "AUTH without end while connected",
			setup: func(a *attack) ClientSetup { return ClientSetup{Version: mqtt.V5, Endless: true} },
			server: func(a *attack) *Server {
				return &Server{
					Connack: &wire.Connack{AuthenticationMethod: "endless"},
					Script:  func(p *Peer) { defer a.done(); authenticate(a, p) },
				}
			},
			refused: true,
			limit:   func(*attack) int { return 4 << 20 }, multiple: 2,
		},
		redirects("server references in CONNACK", func(p *Peer, to string) error {
			return p.Send(&wire.Connack{ReasonCode: wire.UseAnotherServer, ServerReference: to})
		}),
		redirects("server references in DISCONNECT", func(p *Peer, to string) error {
			return p.Send(&wire.Connack{}, &wire.Disconnect{ReasonCode: wire.ServerMoved, ServerReference: to})
		}),
		{
			name: "a flood of requests",
			setup: func(a *attack) ClientSetup {
				return ClientSetup{Version: mqtt.V5, Filter: "x/#", Responding: true}
			},
			server: func(a *attack) *Server {
				return afterSubscribe(a, func(p *Peer) {
					request := encode(&wire.Publish{Topic: "x/y", Payload: make([]byte, 10_000), Properties: &wire.PublishProperties{
						ResponseTopic: "answer", CorrelationData: make([]byte, 10_000),
					}})
					// The answers stay unread.
					a.landed.Add(int64(p.Flood(request, a.times(3000, 50_000), 2*time.Second)))
					a.done()
					<-a.ctx.Done()
				})
			},
			limit: func(*attack) int { return 16 << 20 }, multiple: 2, least: 1 << 20,
		},
		{
			name: "messages of an old session that nobody claims",
			setup: func(a *attack) ClientSetup {
				return ClientSetup{Version: mqtt.V5, Resume: true, Flapping: true}
			},
			server: func(a *attack) *Server {
				return &Server{Connack: &wire.Connack{SessionPresent: true}, Script: func(p *Peer) {
					go p.Drain()
					for id := range uint16(2000) {
						a.landed.Add(int64(p.Flood(PublishOfPayload("nobody/wants", 1, id+1, 50_000), 1, time.Second)))
					}
					if a.connections.Add(1) > 3 {
						a.done()
					}
				}}
			},
			limit: func(*attack) int { return 16 << 20 }, multiple: 2, least: 1 << 20,
		},
		{
			name: "properties of an old session that nobody claims",
			setup: func(a *attack) ClientSetup {
				return ClientSetup{Version: mqtt.V5, Resume: true, Flapping: true}
			},
			server: func(a *attack) *Server {
				return &Server{Connack: &wire.Connack{SessionPresent: true}, Script: func(p *Peer) {
					go p.Drain()
					for id := range uint16(a.times(300, 1000)) {
						a.landed.Add(int64(p.Flood(PublishOfProperties("nobody/wants", 1, id+1, 10_000), 1, time.Second)))
					}
					if a.connections.Add(1) > 3 {
						a.done()
					}
				}}
			},
			limit: func(*attack) int { return 16 << 20 }, multiple: 4, least: 1 << 20,
		},
		{
			name: "messages that are taken and never acknowledged, over lost sessions",
			setup: func(a *attack) ClientSetup {
				s := taking(a)
				s.Manual = true
				return s
			},
			server: func(a *attack) *Server {
				return afterSubscribe(a, func(p *Peer) {
					go p.Drain()
					for id := range uint16(65_000) {
						if m := p.Flood(PublishOfPayload("x/y", 1+byte(id%2), id+1, 100), 1, time.Second); m == 0 {
							break
						}
						a.landed.Add(1)
					}
					if a.connections.Add(1) > 5 {
						a.done()
					}
				})
			},
			limit: func(*attack) int { return 4 << 20 }, multiple: 4, least: 100,
		},
	}
}

// authenticate asks again and again.
func authenticate(a *attack, p *Peer) {
	go p.Drain()
	b := encode(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "endless", AuthenticationData: make([]byte, 1000)})
	for range a.times(20_000, 1_000_000) {
		if p.Flood(b, 1, time.Second) == 0 {
			return
		}
		a.landed.Add(1)
	}
}

// redirects sends the client round in a circle of one. It may follow a few times, and then
// has to wait as its policy says, which is long.
func redirects(name string, refer func(p *Peer, to string) error) clientScenario {
	return clientScenario{
		name: name, refused: true,
		setup: func(a *attack) ClientSetup {
			return ClientSetup{Version: mqtt.V5, Once: 2 * time.Second, Patient: true}
		},
		server: func(a *attack) *Server {
			s := new(Server)
			var begun atomic.Bool
			s.Greet = func(p *Peer, _ *wire.Connect) error {
				if !begun.Swap(true) {
					go func() { <-time.After(2 * time.Second); a.done() }()
				}
				a.landed.Add(1)
				_ = refer(p, s.Addr())
				p.Drain()
				return nil
			}
			return s
		},
		most: 12, least: 1,
	}
}

func clientScenarios() []clientScenario {
	return slices.Concat(floodScenarios(), answerScenarios(), extremeScenarios(), clientWebSocketScenarios(), clientTLSScenarios())
}
