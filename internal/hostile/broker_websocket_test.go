package hostile

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// webSocketScenarios are about what lies below MQTT.
func webSocketScenarios() []brokerScenario {
	both := func(a *attack) BrokerSetup {
		return BrokerSetup{Networks: []string{"tcp", "ws"}, Config: small(a, nil)}
	}
	return []brokerScenario{
		{
			name: "WebSocket handshakes left half done", setup: both,
			limit: connectionLimit(2 * silentCost), multiple: 1,
			attack: func(a *attack) {
				request := upgrade("/")
				a.each(a.times(600, 10_100), 50, func(i int) {
					if nc, err := a.dial("ws", local(i%20)); err == nil {
						_, _ = nc.Write([]byte(request[:len(request)-2]))
						a.landed.Add(1)
					}
				})
			},
			least: 100,
		},
		{
			name: "HTTP header without end", setup: both,
			limit: func(a *attack) int { return connectionLimit(2*silentCost)(a) + 100*64<<10 }, multiple: 2,
			attack: func(a *attack) {
				a.each(100, 50, func(i int) {
					if nc, err := a.dial("ws", local(i%20)); err == nil {
						p := NewPeer(nc, wire.V5, wire.FromServer)
						_, _ = nc.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n"))
						a.landed.Add(int64(p.Flood([]byte("X-Y: "+strings.Repeat("z", 8000)+"\r\n"), 1000, time.Second)))
					}
				})
			},
			least: 1000,
		},
		{
			name: "WebSockets that say nothing", setup: both,
			limit: connectionLimit(3 * silentCost), multiple: 1,
			attack: func(a *attack) {
				a.each(a.times(600, 10_100), 50, func(i int) {
					if _, err := openWebSocket(a, local(i%20)); err == nil {
						a.landed.Add(1)
					}
				})
			},
			least: 100,
		},
		{
			name: "WebSocket frame of 2^62 bytes", setup: both,
			limit: func(a *attack) int { return 20 * a.of(1, 16) << 20 }, multiple: 1,
			attack: func(a *attack) {
				a.each(20, 20, func(i int) {
					nc, err := joinWebSocket(a, i)
					if err != nil {
						return
					}
					// The frame has any number of packets.
					_, _ = nc.Write(frameHead(true, 2, 1<<62))
					p := NewPeer(nc, wire.V5, wire.FromServer)
					a.landed.Add(int64(p.Flood(PublishOfPayload("x", 0, 0, 100_000), a.times(20, 2000), 2*time.Second)))
				})
			},
			least: 1000,
		},
		{
			name: "WebSocket fragments of one byte", setup: both,
			limit: connectionLimit(silentCost), multiple: 1,
			attack: func(a *attack) {
				a.each(20, 20, func(i int) {
					nc, err := joinWebSocket(a, i)
					if err != nil {
						return
					}
					publish := PublishOfPayload("x", 0, 0, a.of(20_000, 1_000_000))
					b := append(frameHead(false, 2, 1), publish[0])
					for _, c := range publish[1:] {
						b = append(append(b, frameHead(false, 0, 1)...), c)
					}
					_ = nc.SetWriteDeadline(time.Now().Add(4 * attackPatience))
					n, _ := nc.Write(b)
					a.landed.Add(int64(n))
				})
			},
			least: 1000,
		},
		{
			name: "WebSocket fragments without content", setup: both,
			limit: connectionLimit(silentCost), multiple: 1,
			attack: func(a *attack) {
				a.each(20, 20, func(i int) {
					nc, err := joinWebSocket(a, i)
					if err != nil {
						return
					}
					_, _ = nc.Write(frameHead(false, 2, 0))
					p := NewPeer(nc, wire.V5, wire.FromServer)
					b := repeat(frameHead(false, 0, 0), 10_000)
					a.landed.Add(int64(p.Flood(b, a.times(20, 1000), time.Second)))
				})
			},
			least: 1000,
		},
		{
			name: "WebSocket pings, answers unread", setup: both,
			// The library has a timer for each ping, which are garbage faster than it is collected.
			limit: connectionLimit(silentCost), multiple: 2,
			attack: func(a *attack) {
				a.each(20, 20, func(i int) {
					nc, err := joinWebSocket(a, i)
					if err != nil {
						return
					}
					p := NewPeer(nc, wire.V5, wire.FromServer)
					b := repeat(append(frameHead(true, 9, 125), make([]byte, 125)...), 1000)
					a.landed.Add(int64(p.Flood(b, a.times(100, 1000), time.Second)))
				})
			},
			least: 1000,
		},
		{
			name: "WebSocket close that nobody answers", setup: both,
			limit: connectionLimit(2 * silentCost), multiple: 1,
			attack: func(a *attack) {
				a.each(a.times(600, 10_100), 50, func(i int) {
					nc, err := openWebSocket(a, local(i%20))
					if err != nil {
						return
					}
					_, _ = nc.Write(frameHead(true, 8, 0))
					a.landed.Add(1)
				})
			},
			least: 100,
		},
	}
}

// upgrade returns the request for a WebSocket.
func upgrade(path string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", path)
}

// openWebSocket does the handshake, and returns the connection below.
func openWebSocket(a *attack, local string) (net.Conn, error) {
	nc, err := a.dial("ws", local)
	if err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Now().Add(2 * attackPatience))
	defer func() { _ = nc.SetDeadline(time.Time{}) }()
	if _, err := nc.Write([]byte(upgrade("/"))); err != nil {
		return nil, err
	}
	// One byte at a time, so that nothing behind it is lost.
	var answer []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(answer), "\r\n\r\n"); answer = append(answer, b[0]) {
		if _, err := nc.Read(b); err != nil {
			return nil, err
		}
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 101") {
		return nil, fmt.Errorf("refused: %q", answer)
	}
	return nc, nil
}

// joinWebSocket logs in over a WebSocket.
func joinWebSocket(a *attack, i int) (net.Conn, error) {
	nc, err := openWebSocket(a, local(i))
	if err != nil {
		return nil, err
	}
	connect := encode(&wire.Connect{ClientID: fmt.Sprint("ws-", i), Username: new("attacker"), Password: []byte("attacker")})
	if _, err := nc.Write(append(frameHead(true, 2, uint64(len(connect))), connect...)); err != nil {
		return nil, err
	}
	_ = nc.SetReadDeadline(time.Now().Add(2 * attackPatience))
	_, err = nc.Read(make([]byte, 100)) // CONNACK
	return nc, err
}

// frameHead returns the head of a frame of a client. The mask is zero, which changes
// nothing.
func frameHead(final bool, opcode byte, n uint64) []byte {
	if final {
		opcode |= 0x80
	}
	b := []byte{opcode}
	switch {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), n)
	}
	return append(b, 0, 0, 0, 0)
}

// repeat returns b n times.
func repeat(b []byte, n int) []byte {
	all := make([]byte, 0, n*len(b))
	for range n {
		all = append(all, b...)
	}
	return all
}
