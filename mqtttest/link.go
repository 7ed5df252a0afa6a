package mqtttest

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// farewell is how long a client on a socket may take to read the data that it was
// sent before the test cut the connection.
const farewell = time.Second

// link is a client's connection together with its connection to the broker.
type link struct {
	b        *Broker
	number   int
	client   net.Conn
	server   net.Conn
	up, down *lane

	ctx    context.Context // ends with the link
	cancel context.CancelFunc

	mu       sync.Mutex // guards what follows
	clientID string
	version  wire.Version // zero until CONNECT
	limits   *limits      // limits of Announce; nil: none
	finished [2]bool      // whether the up and the down lane have finished
	ended    bool
}

func newLink(b *Broker, number int, client, server net.Conn) *link {
	l := &link{b: b, number: number, client: client, server: server}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.up = newLane(l, Up, client, server)
	l.down = newLane(l, Down, server, client)
	return l
}

func (l *link) run() {
	unmarked(func() {
		var lanes sync.WaitGroup
		for _, a := range []*lane{l.up, l.down} {
			lanes.Go(a.read)
			lanes.Go(a.write)
		}
		lanes.Wait()
	})
	l.client.Close()
	l.b.mu.Lock()
	delete(l.b.links, l)
	l.b.mu.Unlock()
	l.b.recorder.gone(l.number)
}

// id returns the client identifier, as far as it is known.
func (l *link) id() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clientID
}

func (l *link) spoken() wire.Version {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.version
}

func (l *link) other(a *lane) *lane {
	if a == l.up {
		return l.down
	}
	return l.up
}

// finish is called when a lane has passed on the end of its source, or its receiver
// is gone. When both lanes have called it, the link ends.
func (l *link) finish(a *lane) {
	l.mu.Lock()
	l.finished[a.direction-Up] = true
	over := l.finished == [2]bool{true, true}
	l.mu.Unlock()
	if over {
		l.end("", false)
	}
}

// end ends both connections, once. Data that was not passed on is lost. If hard is
// false, the client can still read what was passed on to it.
func (l *link) end(note string, hard bool) {
	l.mu.Lock()
	ended := l.ended
	l.ended = true
	l.mu.Unlock()
	if ended {
		if hard {
			reset(l.client)
		}
		return
	}
	if note != "" {
		l.b.recorder.add(&Event{Conn: l.number, ClientID: l.id(), Note: "connection cut: " + note})
	}
	half, ok := l.client.(*net.TCPConn)
	lingers := ok && !hard
	if !lingers {
		reset(l.client) // first, or the up lane would still take what the client sends
	}
	l.cancel()
	l.server.Close()
	if !lingers {
		return
	}
	// Closing a socket with unread input would reset it and destroy data on its way
	// to the client. The up lane therefore reads on until the client has closed. Then
	// run closes the socket.
	_ = half.CloseWrite()
	_ = half.SetReadDeadline(time.Now().Add(farewell))
}

// isOver reports whether the link has ended.
func (l *link) isOver() bool { return l.ctx.Err() != nil }

// matching returns the links of these clients, or all of them.
func (b *Broker) matching(clientIDs []string) []*link {
	b.mu.Lock()
	defer b.mu.Unlock()
	var links []*link
	for l := range b.links {
		if len(clientIDs) == 0 || slices.Contains(clientIDs, l.id()) {
			links = append(links, l)
		}
	}
	slices.SortFunc(links, func(x, y *link) int { return x.number - y.number })
	return links
}
