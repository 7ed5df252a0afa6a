package conversation

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// Gateway is a WebSocket server in front of another server. It passes the content of
// frames on unchanged, in both directions.
func Gateway(t *testing.T, l net.Listener, dial func(context.Context, string, string) (net.Conn, error)) {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt", "mqttv3.1"}})
		if err != nil {
			return
		}
		defer ws.CloseNow()
		back, err := dial(r.Context(), "", "")
		if err != nil {
			return
		}
		Relay(websocket.NetConn(context.Background(), ws, websocket.MessageBinary), back)
	})}
	var served sync.WaitGroup
	served.Go(func() { server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		served.Wait()
	})
}

// Relay copies in both directions until one side ends.
func Relay(a, b net.Conn) {
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(a, b)
		a.Close()
	})
	io.Copy(b, a)
	b.Close()
	back.Wait()
}
