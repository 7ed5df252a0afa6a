package fuzztest

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

// FuzzWebSocket plays HTTP and WebSocket frames of any kind to the client, and to the
// broker. Both end in order.
func FuzzWebSocket(f *testing.F) {
	for _, script := range []string{
		"\x00\x00\x01\x82\x02\x00\x01\x82\x03\x00\x02\x08", "\x00\x05HTTP/", "\x00\x00\x01\x01\x10\x01\x80\x10\x01\x89\x10\x01\x8a\x10\x01\x88\x10",
		"\x00\x01\x00\xff\x01\xfe", "\x00\x02\x03\x04",
	} {
		f.Add(false, []byte(script))
		f.Add(true, []byte(script))
	}
	f.Fuzz(func(t *testing.T, toBroker bool, script []byte) {
		if len(script) > 500 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			if toBroker {
				browse(t, NewChoices(script))
			} else {
				upgrade(t, NewChoices(script))
			}
		})
	})
}

// upgrade is a server of the client.
func upgrade(t *testing.T, c *Choices) {
	listener := pipe.Listen(1 << 20)
	client, err := mqtt.Start("ws://server", mqtt.Config{
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return listener.Dial(ctx) },
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-client.Done()
		listener.Close()
	}()
	for range 4 {
		nc, err := listener.Accept()
		if err != nil {
			break // the client has ended
		}
		if r, err := http.ReadRequest(bufio.NewReader(nc)); err != nil {
			t.Errorf("the client's request: %v", err)
		} else {
			say(nc, c.response(r))
		}
		c.frames(nc, false)
		nc.Close()
	}
	begun := time.Now()
	client.Close()
	if took := time.Since(begun); took > instant {
		t.Errorf("Close took %v", took)
	}
	listener.Close()
}

// browse is a client of the broker.
func browse(t *testing.T, c *Choices) {
	b := broker.New(broker.Config{Authenticators: []broker.Authenticator{broker.AllowAll{}}})
	listener := broker.NewMemoryListener(0)
	served := make(chan error, 1)
	go func() { served <- b.ServeWebSocket(t.Context(), listener) }()
	for range 2 {
		nc, err := listener.Dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		say(nc, c.request())
		c.frames(nc, true)
		nc.Close()
		synctest.Wait()
	}
	time.Sleep(time.Minute)
	if n := b.Stats().Connections; n > 0 {
		t.Errorf("%d connections are left", n)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	<-served
}

// say writes, if the other side still takes it.
func say(nc net.Conn, text []byte) {
	_, _ = nc.Write(text) // the other side may have closed
	synctest.Wait()
}

// response answers the request that opens a WebSocket, in most cases as it should be.
func (c *Choices) response(r *http.Request) []byte {
	how := c.N(8)
	if how == 5 {
		return c.Bytes(256)
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	text := "HTTP/1.1 101 Switching Protocols\r\n"
	if how == 6 {
		text = "HTTP/1.1 " + Pick(c, "200", "401", "302", "999", "500", "") + " x\r\nLocation: " + c.Text() + "\r\n"
	}
	text += "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	if how != 7 {
		text += "Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\nSec-WebSocket-Protocol: mqtt\r\n"
	}
	return []byte(text + "\r\n")
}

// request opens a WebSocket, in most cases as it should be.
func (c *Choices) request() []byte {
	how := c.N(8)
	if how == 5 {
		return c.Bytes(256)
	}
	text := Pick(c, "GET", "POST") + " " + Pick(c, "/mqtt", "/", "*", "http://x/") + " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	if how == 6 {
		text += "Origin: http://" + c.Text() + "\r\n"
	}
	if how != 7 {
		text += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " + Pick(c, "mqtt", "mqttv3.1", "x") + "\r\n"
	}
	return []byte(text + "\r\n")
}

// frames sends frames, of which some are whole.
func (c *Choices) frames(nc net.Conn, masked bool) {
	for range 12 {
		if !c.More() || c.N(16) == 15 {
			return // and leaves the rest to the next connection
		}
		say(nc, c.frame(masked))
		if c.N(16) == 15 {
			time.Sleep(Pick(c, time.Second, 20*time.Second))
		}
	}
}

// frame returns a frame. Most carry a packet, or a part of one.
func (c *Choices) frame(masked bool) []byte {
	first := Pick(c, 0x82, 0x02, 0x80, 0x00, 0x89, 0x88, 0x8a, c.Byte())
	var payload []byte
	p := c.Packet(wire.TypeConnack, wire.TypeConnect, wire.TypePublish, wire.TypePingreq, wire.TypeSubscribe, wire.TypeDisconnect)
	if first < 0x84 {
		payload, _ = p.Append(nil, wire.V5)
	} else {
		payload = c.Bytes(130)
	}
	b := []byte{first}
	mask := byte(0)
	if masked != (c.N(32) == 31) {
		mask = 0x80
	}
	claimed := len(payload)
	if c.N(16) == 15 {
		claimed = int(c.number() >> 1)
	}
	switch {
	case claimed < 126:
		b = append(b, mask|byte(claimed))
	case claimed < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(claimed))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(claimed))
	}
	if mask != 0 {
		b = append(b, 0, 0, 0, 0) // which changes nothing
	}
	return append(b, payload...)
}
