package hostile

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

// below makes a server that takes the request of each WebSocket and answers with f, which
// is told the answer that a server gives that agrees.
func below(a *attack, f func(p *Peer, agree string)) *Server {
	return &Server{Below: func(nc net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(nc))
		if err != nil {
			return
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		f(NewPeer(nc, wire.V5, wire.FromClient), "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n")
		if a.connections.Add(1) > 3 {
			a.done()
		}
	}}
}

// serverFrame returns the head of a frame of a server, which masks nothing.
func serverFrame(first byte, n uint64) []byte {
	b := frameHead(false, first, n)
	b[1] &^= 0x80
	return b[:len(b)-4]
}

// answers is a server whose answer to the request of a WebSocket is begin and then piece
// without end.
func answers(name, begin, piece string) clientScenario {
	return clientScenario{
		name: name, scheme: "ws", refused: true, setup: briefly,
		server: func(a *attack) *Server {
			return below(a, func(p *Peer, _ string) {
				n, _ := p.Write([]byte(begin))
				n += p.Flood([]byte(piece), a.times(20_000, 200_000), time.Second)
				a.landed.Add(int64(n))
				a.done()
			})
		},
		limit: func(*attack) int { return 1 << 20 }, multiple: 4, least: 1000, most: mostConnections,
	}
}

// briefly is a client that has two seconds, and then tries again in a day.
func briefly(a *attack) ClientSetup {
	return ClientSetup{Version: mqtt.V5, Once: time.Duration(a.of(2, 15)) * time.Second, Patient: true, MaximumPacketSize: uint32(a.of(smallPacket, 0))}
}

// frames is a server that agrees to the WebSocket, and to MQTT if connack is set, and then
// sends begin and piece without end. It reads only if reads is set.
func frames(name string, connack, reads bool, begin, piece []byte) clientScenario {
	return clientScenario{
		name: name, scheme: "ws", refused: true, setup: briefly,
		server: func(a *attack) *Server {
			return below(a, func(p *Peer, agree string) {
				_, _ = p.Write([]byte(agree + "\r\n"))
				if reads {
					go p.Drain()
				}
				if connack {
					ack := encode(&wire.Connack{})
					_, _ = p.Write(append(serverFrame(0x82, uint64(len(ack))), ack...))
				}
				n, _ := p.Write(begin)
				n += p.Flood(piece, a.times(200, 2000), time.Second)
				a.landed.Add(int64(n))
				a.done()
			})
		},
		limit: func(*attack) int { return 2 << 20 }, multiple: 4, least: 100, most: mostConnections,
	}
}

// bomb is a frame that says it is compressed, of a megabyte that becomes a gigabyte.
func bomb() []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		panic(err) // of the plan's own making
	}
	zeros := make([]byte, 1<<20)
	for range 64 {
		_, _ = w.Write(zeros)
	}
	_ = w.Flush()
	return append(serverFrame(0xc2, uint64(b.Len())), b.Bytes()...)
}

// clientWebSocketScenarios are about what lies below MQTT.
func clientWebSocketScenarios() []clientScenario {
	ping := append(serverFrame(0x89, 125), make([]byte, 125)...)
	publish := PublishOfPayload("x/y", 0, 0, 10)
	var slices []byte
	for _, c := range publish {
		slices = append(append(slices, serverFrame(0, 1)...), c)
	}
	closing := append([]byte{0x03, 0xf0}, bytes.Repeat([]byte{'\n'}, 123)...)
	return []clientScenario{
		answers("HTTP header without end", "HTTP/1.1 101 Switching Protocols\r\n", "X-Y: "+strings.Repeat("z", 8000)+"\r\n"),
		answers("HTTP header of one line without end", "HTTP/1.1 101 Switching Protocols\r\nX: ", strings.Repeat("z", 8000)),
		answers("HTTP status without end", "HTTP/1.1 500 ", strings.Repeat("no ", 3000)),
		answers("HTTP 100 again and again", "", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 300)),
		answers("HTTP body without end", "HTTP/1.1 404 Not Found\r\n\r\n", strings.Repeat("not here ", 1000)),
		answers("HTTP chunks without end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", strings.Repeat("1\r\nx\r\n", 1000)),
		answers("no HTTP", "", strings.Repeat("\x00", 8000)),
		frames("WebSocket frame of 2^62 bytes", true, true, serverFrame(0x82, 1<<62), repeat(publish, 1000)),
		frames("WebSocket frame of 2^63 bytes", true, true, serverFrame(0x82, 1<<63), repeat(publish, 1000)),
		frames("WebSocket fragments of one byte", true, true, append(serverFrame(0x02, 0), slices...), repeat(slices, 1000)),
		frames("WebSocket fragments without content", true, true, serverFrame(0x02, 0), repeat(serverFrame(0, 0), 10_000)),
		frames("WebSocket fragments in place of CONNACK", false, true, serverFrame(0x02, 0), repeat(serverFrame(0, 0), 10_000)),
		frames("WebSocket messages without content", true, true, nil, repeat(serverFrame(0x82, 0), 10_000)),
		frames("WebSocket pings, answers read", true, true, nil, repeat(ping, 500)),
		frames("WebSocket pings, answers unread", true, false, nil, repeat(ping, 500)),
		frames("WebSocket pings in place of CONNACK", false, false, nil, repeat(ping, 500)),
		frames("WebSocket pongs", true, true, nil, repeat(serverFrame(0x8a, 0), 10_000)),
		frames("WebSocket text", true, true, append(serverFrame(0x81, 5), "hello"...), repeat(ping, 500)),
		frames("WebSocket of compressed zeros", true, true, bomb(), repeat(ping, 500)),
		frames("WebSocket frames that are masked", true, true, frameHead(true, 2, 100), make([]byte, 100)),
		frames("WebSocket frames of no kind", true, true, serverFrame(0x83, 10), make([]byte, 100)),
		frames("WebSocket control frame that is large", true, true, serverFrame(0x89, 1<<20), make([]byte, 10_000)),
		frames("WebSocket control frame in fragments", true, true, serverFrame(0x09, 5), make([]byte, 10_000)),
		frames("WebSocket close with a long reason", true, true, append(serverFrame(0x88, uint64(len(closing))), closing...), repeat(ping, 500)),
		{
			name: "a WebSocket compressed though nobody asked", scheme: "ws", refused: true, setup: briefly,
			server: func(a *attack) *Server {
				return below(a, func(p *Peer, agree string) {
					b := append([]byte(agree+"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"), bomb()...)
					a.landed.Add(int64(p.Flood(b, 1, time.Second)))
					p.Drain()
					a.done()
				})
			},
			limit: func(*attack) int { return 1 << 20 }, multiple: 4, least: 100, most: mostConnections,
		},
		{
			name: "HTTP answer byte by byte", scheme: "ws", refused: true, setup: briefly,
			server: func(a *attack) *Server {
				return below(a, func(p *Peer, agree string) {
					defer a.done()
					for _, c := range []byte(agree + "X: " + strings.Repeat("z", 2000)) {
						if _, err := p.Write([]byte{c}); err != nil {
							return
						}
						a.landed.Add(1)
						<-time.After(20 * time.Millisecond)
					}
				})
			},
			least: 10,
		},
	}
}

// clientTLSScenarios are about what lies below that.
func clientTLSScenarios() []clientScenario {
	handshake := func(name string, serve func(a *attack, nc net.Conn)) clientScenario {
		return clientScenario{
			name: name, scheme: "mqtts", refused: true, setup: briefly,
			server: func(a *attack) *Server {
				return &Server{Below: func(nc net.Conn) { defer a.done(); serve(a, nc) }}
			},
			limit: func(*attack) int { return 1 << 20 }, multiple: 4, least: 1, most: mostConnections,
		}
	}
	return []clientScenario{
		handshake("TLS certificates by the thousand", func(a *attack, nc net.Conn) {
			conf, err := serverTLS()
			if err != nil {
				panic(err) // of the plan's own making
			}
			chain := &conf.Certificates[0].Certificate
			for range 5000 {
				*chain = append(*chain, (*chain)[0])
			}
			a.landed.Add(1)
			_ = tls.Server(nc, conf).HandshakeContext(a.ctx)
			_, _ = io.Copy(io.Discard, nc)
		}),
		handshake("TLS records of nothing", func(a *attack, nc net.Conn) {
			p := NewPeer(nc, wire.V5, wire.FromClient)
			a.landed.Add(int64(p.Flood(repeat([]byte{22, 3, 3, 0, 0}, 10_000), 100, time.Second)))
		}),
		handshake("TLS handshake that is claimed", func(a *attack, nc net.Conn) {
			// Sixteen megabytes, in records of which none is large.
			p := NewPeer(nc, wire.V5, wire.FromClient)
			_, _ = p.Write([]byte{22, 3, 3, 0, 4, 2, 0xff, 0xff, 0xff})
			a.landed.Add(int64(p.Flood(append([]byte{22, 3, 3, 0x3f, 0xff}, make([]byte, 0x3fff)...), 1024, time.Second)))
		}),
		handshake("TLS warnings without end", func(a *attack, nc net.Conn) {
			p := NewPeer(nc, wire.V5, wire.FromClient)
			a.landed.Add(int64(p.Flood(repeat([]byte{21, 3, 3, 0, 2, 1, 90}, 10_000), 100, time.Second)))
		}),
		handshake("TLS byte by byte", func(a *attack, nc net.Conn) {
			_, _ = nc.Write([]byte{22, 3, 3, 0x10, 0})
			for range 1000 {
				if _, err := nc.Write([]byte{2}); err != nil {
					return
				}
				a.landed.Add(1)
				<-time.After(20 * time.Millisecond)
			}
		}),
		handshake("nothing in answer to TLS", func(a *attack, nc net.Conn) {
			a.landed.Add(1)
			_, _ = io.Copy(io.Discard, nc)
		}),
	}
}
