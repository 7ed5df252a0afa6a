package conformance

import (
	"context"
	"net/http"

	"github.com/coder/websocket"

	"github.com/seed65a45251/mqtt/wire"
)

func serverWebSocketChecks() []serverCheck {
	return []serverCheck{
		of("WebSocket subprotocol", "6.0.0-4", "6.0.0-4", "the server selects the subprotocol mqtt", (*trial).subprotocol),
		of("WebSocket frames", "6.0.0-2", "6.0.0-2", "packets may be split over frames, and frames may have several packets", (*trial).framesAnyhow),
		of("WebSocket binary frames", "6.0.0-1", "6.0.0-1", "the server sends binary frames, and a text frame ends the connection", (*trial).textFrame),
	}
}

func (t *trial) webSocket(offers ...string) *websocket.Conn {
	if t.s.WebSocket == "" {
		t.unobserved("the suite knows no WebSocket listener of the server")
	}
	conn, response, err := websocket.Dial(t.ctx, t.s.WebSocket, &websocket.DialOptions{Subprotocols: offers})
	if err != nil {
		if response != nil && response.StatusCode == http.StatusSwitchingProtocols {
			t.fail("answers the offer of %q with %q", offers, response.Header.Get("Sec-WebSocket-Protocol"))
		}
		t.fail("refuses a WebSocket that offers %q", offers)
	}
	return conn
}

func (t *trial) subprotocol() {
	for _, offers := range [][]string{{"mqtt"}, {"mqttv3.1", "mqtt"}} {
		conn := t.webSocket(offers...)
		switch got := conn.Subprotocol(); {
		case got == "mqttv3.1" && len(offers) > 1:
			t.depart("selects mqttv3.1 if it is offered besides mqtt")
		case got != "mqtt":
			t.fail("selects %q of %q", got, offers)
		}
		conn.CloseNow()
	}
}

func (t *trial) framesAnyhow() {
	conn := t.webSocket("mqtt")
	p := t.adopt(websocket.NetConn(t.ctx, conn, websocket.MessageBinary))
	b, err := t.connect(t.id("a")).Append(nil, t.version)
	if err != nil {
		t.fail("the script cannot encode its packet: %v", err)
	}
	for i := range b {
		p.raw(b[i : i+1])
	}
	if code := take[*wire.Connack](p).ReasonCode; code.Failed() {
		t.fail("CONNECT is refused with %v", code)
	}
	p.raw([]byte{0xC0, 0, 0xC0, 0, 0xC0})
	p.raw([]byte{0})
	for range 3 {
		take[*wire.Pingresp](p)
	}
}

func (t *trial) textFrame() {
	conn := t.webSocket("mqtt")
	defer conn.CloseNow()
	ctx, cancel := context.WithTimeout(t.ctx, t.s.Patience)
	defer cancel()
	b, err := t.connect(t.id("a")).Append(nil, t.version)
	if err != nil {
		t.fail("the script cannot encode its packet: %v", err)
	}
	_ = conn.Write(ctx, websocket.MessageBinary, b)
	kind, _, err := conn.Read(ctx)
	if err != nil {
		t.fail("no CONNACK: the server closed the connection")
	}
	if kind != websocket.MessageBinary {
		t.fail("CONNACK comes in a text frame")
	}
	_ = conn.Write(ctx, websocket.MessageText, []byte{0xC0, 0})
	for {
		if _, packet, err := conn.Read(ctx); err != nil {
			if ctx.Err() != nil {
				t.fail("does not close the connection within %v after a text frame", t.s.Patience)
			}
			return
		} else if len(packet) > 0 && packet[0] == 0xD0 {
			t.fail("answers a PINGREQ in a text frame")
		}
	}
}
