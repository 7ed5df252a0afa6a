package hostile

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

// everyLimit is a CONNACK that allows as little as it may.
func everyLimit(maximumPacketSize uint32) *wire.Connack {
	return &wire.Connack{
		ReceiveMaximum: 1, MaximumQoS: new(wire.AtMostOnce), RetainAvailable: new(false), MaximumPacketSize: maximumPacketSize,
		TopicAliasMaximum: 65_535, WildcardSubscriptionAvailable: new(false), SubscriptionIDAvailable: new(false),
		SharedSubscriptionAvailable: new(false), ServerKeepAlive: new(uint16(1)), SessionExpiryInterval: new(uint32(0)),
		ResponseInformation: strings.Repeat("r", 60_000), ReasonString: strings.Repeat("\n", 60_000),
	}
}

// mostConnections is what a client that waits a day between attempts may make.
const mostConnections = 4

// extremeScenarios are about answers that are allowed, and as bad as can be, and about lies.
func extremeScenarios() (all []clientScenario) {
	patient := func(a *attack) ClientSetup { return ClientSetup{Version: mqtt.V5, Patient: true, QueueBytes: 1 << 20} }
	for _, size := range []uint32{4, 5, 8, 64} {
		all = append(all, clientScenario{
			name: fmt.Sprint("CONNACK with everything at its limit, packets of ", size), setup: patient, refused: true,
			server: func(a *attack) *Server {
				return &Server{Connack: everyLimit(size), Script: func(p *Peer) { a.landed.Add(1); Obey(p) }}
			},
			during: func(t *testing.T, a *attack, victim *process) {
				defer a.done()
				poured, err := call[Result](victim, "Pour", struct{ N, Size int }{100, 10_000})
				require.NoError(t, err)
				calls, err := call[Result](victim, "Calls", 20)
				require.NoError(t, err)
				require.Equal(t, 20, calls.Returned)
				require.NotContains(t, poured.Err+calls.Err, "\n")
			},
			limit: func(*attack) int { return 2 << 20 }, multiple: 2, least: 1, most: mostConnections,
		})
	}
	words := strings.Repeat("\x1b[31m\nlevel=ERROR ", 4000)[:65_535]
	all = append(all,
		clientScenario{
			name: "acknowledgements withheld", refused: true,
			setup: func(a *attack) ClientSetup {
				return ClientSetup{Version: mqtt.V5, Patient: true, QueueBytes: a.of(4<<20, 0)}
			},
			server: func(a *attack) *Server {
				return &Server{Script: func(p *Peer) { a.landed.Add(1); p.Drain() }}
			},
			during: func(t *testing.T, a *attack, victim *process) {
				defer a.done()
				got, err := call[Result](victim, "Pour", struct{ N, Size int }{100_000, 10_000})
				require.NoError(t, err)
				require.Less(t, got.OK, 100_000)
				require.Positive(t, got.OK)
			},
			// What waits and what is in flight have the limit each.
			limit: func(a *attack) int { return 2*a.of(4<<20, 64<<20) + 4<<20 }, multiple: 2, least: 1, most: mostConnections,
		},
		refusals("words of 64 KiB in CONNACK", func(p *Peer, _ wire.Packet) error {
			return p.Send(&wire.Connack{ReasonCode: wire.ServerBusy, ReasonString: words, UserProperties: []wire.UserProperty{{Name: words, Value: words}}})
		}),
		refusals("words of 64 KiB in CONNACK, permanent", func(p *Peer, _ wire.Packet) error {
			return p.Send(&wire.Connack{ReasonCode: wire.BadUserNameOrPassword, ReasonString: words})
		}),
		refusals("words of 64 KiB in DISCONNECT", func(p *Peer, _ wire.Packet) error {
			return p.Send(&wire.Connack{}, &wire.Disconnect{ReasonCode: wire.ServerBusy, ReasonString: words, UserProperties: []wire.UserProperty{{Name: words, Value: words}}})
		}),
		refusals("a server reference of 64 KiB", func(p *Peer, _ wire.Packet) error {
			return p.Send(&wire.Connack{ReasonCode: wire.UseAnotherServer, ServerReference: strings.Repeat("127.0.0.1:1 ", 5000)})
		}),
		refusals("a server reference with words of its own", func(p *Peer, _ wire.Packet) error {
			return p.Send(&wire.Connack{ReasonCode: wire.ServerMoved, ServerReference: words[:1000]})
		}),
		refusals("an assigned identifier of 64 KiB", func(p *Peer, _ wire.Packet) error {
			return p.Send(&wire.Connack{AssignedClientID: strings.Repeat("i", 65_535)}, &wire.Disconnect{ReasonCode: wire.ServerBusy})
		}),
		refusals("CONNACK twice", func(p *Peer, _ wire.Packet) error { return p.Send(&wire.Connack{}, &wire.Connack{}) }),
		refusals("AUTH out of turn", func(p *Peer, _ wire.Packet) error {
			return p.Send(&wire.Connack{}, &wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: "x"})
		}),
		refusals("AUTH in place of CONNACK", func(p *Peer, _ wire.Packet) error {
			return p.Send(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "x"})
		}),
		refusals("a session that nobody has", func(p *Peer, _ wire.Packet) error { return p.Send(&wire.Connack{SessionPresent: true}) }),
		refusals("packets of a client", func(p *Peer, connect wire.Packet) error { return p.Send(&wire.Connack{}, connect) }),
		aliases("topic aliases that nobody has set", func(alias uint16) *wire.Publish {
			return &wire.Publish{Properties: &wire.PublishProperties{TopicAlias: alias}}
		}),
		aliases("topic aliases beyond the maximum", func(alias uint16) *wire.Publish {
			return &wire.Publish{Topic: "x/y", Properties: &wire.PublishProperties{TopicAlias: 11 + alias%60_000}}
		}),
	)
	return append(all, lyingSubacks()...)
}

// refusals is a server that says no, or something that it may not, to a client that has
// time. It may do nothing but wait, and say why in few words.
func refusals(name string, say func(p *Peer, connect wire.Packet) error) clientScenario {
	return clientScenario{
		name: name, setup: briefly, refused: true,
		server: func(a *attack) *Server {
			var begun atomic.Bool
			return &Server{Greet: func(p *Peer, connect *wire.Connect) error {
				a.landed.Add(1)
				_ = say(p, connect)
				if !begun.Swap(true) {
					go func() { <-time.After(a.linger()); a.done() }()
				}
				p.Drain()
				return nil
			}}
		},
		limit: func(*attack) int { return 1 << 20 }, multiple: 4, least: 1, most: mostConnections,
	}
}

// aliases is a server whose messages have a topic alias that it may not use. Each ends the
// connection.
func aliases(name string, publish func(alias uint16) *wire.Publish) clientScenario {
	return clientScenario{
		name: name, refused: true,
		setup: func(a *attack) ClientSetup {
			s := taking(a)
			s.Patient, s.Flapping, s.TopicAliasMaximum = true, false, 10
			return s
		},
		server: func(a *attack) *Server {
			return afterFirstSubscribe(a, func(p *Peer) {
				var b []byte
				for alias := range uint16(1000) {
					b = append(b, encode(publish(alias+1))...)
				}
				a.landed.Add(int64(p.Flood(b, 10, time.Second)))
				a.done()
			})
		},
		limit: func(*attack) int { return 1 << 20 }, multiple: 2, least: 100, most: mostConnections,
		check: func(t *testing.T, _ *attack, r Report) { require.Zero(t, r.Client.Taken) },
	}
}

// lyingSubacks are answers to SUBSCRIBE that grant what was not asked for, or nothing that
// there is.
func lyingSubacks() (all []clientScenario) {
	for name, codes := range map[string][]wire.ReasonCode{
		"more codes than filters":  {0, 1, 2, 0, 1, 2},
		"a higher QoS":             {2},
		"a code that means no":     {wire.NotAuthorized},
		"a code of another packet": {wire.TopicNameInvalid},
		"no such code":             {0x7f},
	} {
		all = append(all, clientScenario{
			name: "SUBACK with " + name, refused: true,
			setup: func(a *attack) ClientSetup {
				s := briefly(a)
				s.Filter, s.Taking = "x/#", true
				return s
			},
			server: func(a *attack) *Server {
				return &Server{Script: func(p *Peer) {
					defer a.done()
					s, err := Await[*wire.Subscribe](p)
					if err != nil {
						return
					}
					body := []byte{byte(s.PacketID >> 8), byte(s.PacketID), 0}
					for _, code := range codes {
						body = append(body, byte(code))
					}
					a.landed.Add(int64(p.Flood(Packet(0x90, body), 1, time.Second)))
					a.landed.Add(int64(p.Flood(PublishOfPayload("x/y", 2, 1, 1000), 1, time.Second)))
					<-time.After(a.linger())
				}}
			},
			limit: func(*attack) int { return 1 << 20 }, multiple: 2, least: 1, most: mostConnections,
		})
	}
	return all
}
