package transport

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// The benchmarks compare a Conn with a bare loop over the library, on
// loopback, with frames as the writer of a busy connection makes them.

func BenchmarkWebSocketWrite(b *testing.B) {
	ours, _, counted := webSocketPair(b)
	benchmarkWrites(b, counted, func(p []byte) error {
		_, err := ours.Write(p)
		return err
	})
}

func BenchmarkWebSocketWriteBare(b *testing.B) {
	_, bare, counted := webSocketPair(b)
	benchmarkWrites(b, counted, func(p []byte) error {
		return bare.Write(context.Background(), websocket.MessageBinary, p)
	})
}

func benchmarkWrites(b *testing.B, counted <-chan int, write func([]byte) error) {
	p := make([]byte, 16<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	sent := 0
	for b.Loop() {
		require.NoError(b, write(p))
		sent++
	}
	for range sent {
		require.Equal(b, len(p), <-counted)
	}
}

// webSocketPair connects to a server that reports the size of each message. The
// two returned ends are of two connections.
func webSocketPair(b *testing.B) (*Conn, *websocket.Conn, <-chan int) {
	counted := make(chan int, 1<<20)
	url := webSocketServer(b, func(ws *websocket.Conn) {
		ws.SetReadLimit(-1)
		for {
			_, r, err := ws.Reader(context.Background())
			if err != nil {
				return
			}
			n, _ := io.Copy(io.Discard, r)
			counted <- int(n)
		}
	})
	bare, _, err := websocket.Dial(b.Context(), url, nil)
	require.NoError(b, err)
	b.Cleanup(func() { bare.CloseNow() })
	return openForBenchmark(b, url), bare, counted
}

func openForBenchmark(b *testing.B, url string) *Conn {
	s, _, err := Parse(url)
	require.NoError(b, err)
	d, err := New(Options{})
	require.NoError(b, err)
	found, err := d.Endpoints(b.Context(), s)
	require.NoError(b, err)
	c, err := d.Dial(b.Context(), found[0], found[0].Address)
	require.NoError(b, err)
	require.NoError(b, c.Upgrade(b.Context(), s.Host, Upgrade{Server: s, Subprotocols: []string{"mqtt"}}))
	b.Cleanup(func() { c.Close() })
	return c
}

func webSocketServer(b *testing.B, serve func(*websocket.Conn)) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
		if err == nil {
			defer ws.CloseNow()
			serve(ws)
		}
	})}
	go server.Serve(l)
	b.Cleanup(func() { server.Close() })
	return "ws://" + l.Addr().String()
}

func BenchmarkWebSocketRead(b *testing.B) {
	for _, size := range []int{100, 4 << 10, 32 << 10} {
		b.Run(byteCount(size)+"/ours", func(b *testing.B) {
			ours := openForBenchmark(b, flood(b, size))
			buf := make([]byte, 64<<10)
			benchmarkReads(b, size, func() (int, error) { return ours.Read(buf) })
		})
		b.Run(byteCount(size)+"/bare", func(b *testing.B) {
			bare, _, err := websocket.Dial(b.Context(), flood(b, size), nil)
			require.NoError(b, err)
			b.Cleanup(func() { bare.CloseNow() })
			bare.SetReadLimit(-1)
			buf := make([]byte, 64<<10)
			var r io.Reader
			benchmarkReads(b, size, func() (n int, err error) {
				if r == nil {
					_, r, err = bare.Reader(context.Background())
				}
				if err == nil {
					n, err = r.Read(buf)
				}
				if err == io.EOF {
					r, err = nil, nil
				}
				return n, err
			})
		})
	}
}

func byteCount(n int) string {
	return map[int]string{100: "100B", 4 << 10: "4KiB", 32 << 10: "32KiB"}[n]
}

// flood is a server that sends messages of size bytes without end.
func flood(b *testing.B, size int) (url string) {
	return webSocketServer(b, func(ws *websocket.Conn) {
		p := make([]byte, size)
		for ws.Write(context.Background(), websocket.MessageBinary, p) == nil {
		}
	})
}

func benchmarkReads(b *testing.B, size int, read func() (int, error)) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	have := 0
	for b.Loop() {
		for have < size {
			n, err := read()
			if err != nil {
				b.Fatal(err)
			}
			have += n
		}
		have -= size
	}
}
