package hostile

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// longest returns a text of 65,535 bytes that begins with a name.
func longest(name string) string { return name + strings.Repeat("t", 65_535-len(name)) }

// brokerExtremes are about what is as long, as slow or as wrong as it can be.
func brokerExtremes() []brokerScenario {
	plain := func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} }
	all := []brokerScenario{
		{
			name: "topics and filters of 65,535 bytes", setup: plain,
			limit: memoryLimit, multiple: 2,
			attack: func(a *attack) {
				a.each(a.times(20, 100), 5, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("l", i)}, local(i))
					if err != nil {
						return
					}
					for n := range a.times(100, 1000) {
						topic := longest(fmt.Sprint(i, ".", n))
						subscribe := encode(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: topic}}})
						if p.Pour(append(subscribe, PublishOfPayload(topic, 0, 0, 10)...), 1, attackPatience) == 0 {
							return
						}
						a.landed.Add(1)
					}
				})
			},
			least: 100,
		},
		{
			name: "subscribers by the hundred that read a byte now and then", setup: plain,
			limit: memoryLimit, multiple: 2,
			attack: slowReaders,
			least:  100_000,
		},
		{
			name: "publishers by the hundred that send a byte now and then", setup: plain,
			limit: connectionLimit(connectedCost), multiple: 1,
			attack: slowWriters,
			least:  100,
		},
		{
			name: "packets of a server, and AUTH out of turn", setup: plain,
			limit: connectionLimit(connectedCost), multiple: 1,
			attack: func(a *attack) {
				wrong := [][]byte{
					encode(&wire.Connack{}), encode(&wire.Suback{PacketID: 1, ReasonCodes: []wire.ReasonCode{0}}),
					encode(&wire.Unsuback{PacketID: 1, ReasonCodes: []wire.ReasonCode{0}}), {0xd0, 0},
					encode(&wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: "x"}),
					encode(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "x"}),
					PublishOfPayload("", 0, 0, 1), PublishOfPayload("#", 0, 0, 1), PublishOfPayload("a\x00b", 0, 0, 1), PublishOfPayload("\xff", 0, 0, 1),
				}
				a.each(a.times(600, 20_000), 20, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("w", i%50)}, local(i%50))
					if err == nil {
						a.landed.Add(int64(p.Flood(wrong[i%len(wrong)], 10, time.Second)))
					}
				})
			},
			least: 1000,
		},
	}
	return append(append(all, httpScenarios()...), wrongFrames()...)
}

// slowReaders subscribe to what one publisher pours out.
func slowReaders(a *attack) {
	a.each(a.times(150, 1000), 20, func(i int) {
		p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("r", i)}, local(i%50))
		if err != nil {
			return
		}
		_ = p.Send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: "pour", QoS: 1}}})
		if _, err := Await[*wire.Suback](p); err != nil {
			return
		}
		go func() {
			for b := make([]byte, 1); a.ctx.Err() == nil; <-time.After(20 * time.Millisecond) {
				if _, err := p.Read(b); err != nil {
					return
				}
			}
		}()
	})
	p, _, err := a.join(wire.V5, &wire.Connect{ClientID: "pourer"}, "127.0.0.9")
	if err != nil {
		return
	}
	a.landed.Add(int64(p.Pour(PublishOfPayload("pour", 1, 1, 10_000), a.times(300, 5000), attackPatience)))
}

// slowWriters are clients of which none ever ends its message.
func slowWriters(a *attack) {
	var conns []net.Conn
	for i := range a.times(300, 9000) {
		if p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("s", i), KeepAlive: 60}, local(i%100)); err == nil {
			conns = append(conns, p.Conn)
		}
	}
	publish := PublishOfPayload("x", 1, 1, 1000)
	for _, c := range publish[:40] {
		for _, nc := range conns {
			_ = nc.SetWriteDeadline(time.Now().Add(attackPatience))
			if n, err := nc.Write([]byte{c}); err == nil {
				a.landed.Add(int64(n))
			}
		}
	}
}

// httpScenarios are about requests that are none of a WebSocket.
func httpScenarios() (all []brokerScenario) {
	for name, requests := range map[string][2]string{
		"HTTP requests without end on one connection": {"", strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 100)},
		"HTTP body without end":                       {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", strings.Repeat("1\r\nx\r\n", 1000)},
		"HTTP line without end":                       {"GET /", strings.Repeat("x", 8000)},
		"HTTP/2 on the port of WebSockets":            {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", strings.Repeat("\x00\x00\x00\x04\x00\x00\x00\x00\x00", 500)},
	} {
		all = append(all, brokerScenario{
			name: name,
			setup: func(a *attack) BrokerSetup {
				return BrokerSetup{Networks: []string{"tcp", "ws"}, Config: small(a, nil)}
			},
			limit: func(a *attack) int { return connectionLimit(2*silentCost)(a) + 50*64<<10 }, multiple: 2,
			attack: func(a *attack) {
				a.each(50, 50, func(i int) {
					nc, err := a.dial("ws", local(i%20))
					if err != nil {
						return
					}
					p := NewPeer(nc, wire.V5, wire.FromServer)
					go p.Drain()
					_, _ = nc.Write([]byte(requests[0]))
					a.landed.Add(int64(p.Flood([]byte(requests[1]), a.times(10, 5000), time.Second)))
				})
			},
			least: 1000,
		})
	}
	return all
}

// wrongFrames are frames that end a WebSocket, or bring nothing.
func wrongFrames() (all []brokerScenario) {
	unmasked := func(b []byte) []byte {
		b[1] &^= 0x80
		return b[:len(b)-4]
	}
	compressed := bomb()
	for name, frame := range map[string][]byte{
		"text":                     append(frameHead(true, 1, 5), "hello"...),
		"compressed zeros":         append(frameHead(true, 0x42, uint64(len(compressed))), compressed...),
		"frames without a mask":    append(unmasked(frameHead(true, 2, 100)), make([]byte, 100)...),
		"frames of no kind":        append(frameHead(true, 3, 100), make([]byte, 100)...),
		"a ping that is large":     append(frameHead(true, 9, 100_000), make([]byte, 100_000)...),
		"a ping in fragments":      append(frameHead(false, 9, 5), make([]byte, 5)...),
		"a frame of 2^63 bytes":    frameHead(true, 2, 1<<63),
		"messages without content": repeat(frameHead(true, 2, 0), 1000),
		"pongs":                    repeat(frameHead(true, 10, 0), 1000),
	} {
		all = append(all, brokerScenario{
			name: "WebSocket with " + name,
			setup: func(a *attack) BrokerSetup {
				return BrokerSetup{Networks: []string{"tcp", "ws"}, Config: small(a, nil)}
			},
			limit: connectionLimit(silentCost), multiple: 1,
			attack: func(a *attack) {
				a.each(20, 20, func(i int) {
					nc, err := joinWebSocket(a, i)
					if err != nil {
						return
					}
					a.landed.Add(int64(NewPeer(nc, wire.V5, wire.FromServer).Flood(frame, 50, time.Second)))
				})
			},
			least: 100,
		})
	}
	return all
}
