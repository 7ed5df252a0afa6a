//go:build !js

package wsconn

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"github.com/coder/websocket"
	"github.com/seed65a45251/mqtt/internal/line"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/internal/pong"
)

// Accept answers r. It returns the connection, and the end of the pipe to pass to
// Pump.
func Accept(w http.ResponseWriter, r *http.Request) (_ *Conn, incoming net.Conn, err error) {
	var hijacked hijacked
	pongs := pong.New(&hijacked, false)
	ws, err := websocket.Accept(hijacked.from(w), r, &websocket.AcceptOptions{
		// [MQTT-6.0.0-4]
		Subprotocols:       subprotocols,
		InsecureSkipVerify: true, // see Origins.Check
		OnPingReceived:     pongs.Received,
	})
	if err != nil {
		return nil, nil, err
	}
	ws.SetReadLimit(-1)
	far, near := pipe.New(0)
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	s := &Conn{Conn: line.Follow(far, hijacked.bottom), ws: ws, bottom: hijacked.bottom, pongs: pongs, local: local, remote: remoteAddr(r)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, near, nil
}

func remoteAddr(r *http.Request) net.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return pipe.Addr{} // a server without a socket
	}
	return net.TCPAddrFromAddrPort(addr)
}
