package hostile

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt/wire"
)

// attack is one run of a scenario, from the side of the attacker.
type attack struct {
	ctx    context.Context // ends with the attack
	long   bool
	server map[string]string // addresses of the victim, by network

	landed atomic.Int64 // what got through, in whatever the scenario counts

	over chan struct{} // closed by done
	once sync.Once

	connections atomic.Int64 // that a server had, where it counts

	mu   sync.Mutex // guards the rest
	held []net.Conn
}

// of returns what the form of the run calls for.
func (a *attack) of(short, long int) int {
	if a.long {
		return long
	}
	return short
}

// times is of for how often something is done, which is less under the race detector: it
// makes everything slow, and what is asserted there is that nothing races.
func (a *attack) times(short, long int) int {
	if a.long || !raced {
		return a.of(short, long)
	}
	return max(1, short/4)
}

// dial connects, and keeps the connection until the attack ends.
func (a *attack) dial(network, local string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(a.ctx, attackPatience)
	defer cancel()
	nc, err := Dial(ctx, a.server[network], local)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ctx.Err() != nil {
		nc.Close()
		return nil, a.ctx.Err()
	}
	a.held = append(a.held, nc)
	return nc, nil
}

// attackPatience is how long an attacker waits for a victim that does not want any more.
const attackPatience = 5 * time.Second

// join connects and logs in.
func (a *attack) join(v wire.Version, connect *wire.Connect, local string) (*Peer, *wire.Connack, error) {
	nc, err := a.dial("tcp", local)
	if err != nil {
		return nil, nil, err
	}
	p := NewPeer(nc, v, wire.FromServer)
	if v < wire.V5 {
		connect.SessionExpiryInterval = 0
	}
	if connect.Username == nil {
		connect.Username, connect.Password = new("attacker"), []byte("attacker")
	}
	_ = nc.SetDeadline(time.Now().Add(2 * attackPatience))
	ack, err := p.Join(connect)
	_ = nc.SetDeadline(time.Time{})
	return p, ack, err
}

// each calls f for every number below n, many at a time, until the attack ends.
func (a *attack) each(n, at int, f func(i int)) {
	var group errgroup.Group
	group.SetLimit(at)
	for i := range n {
		if a.ctx.Err() != nil {
			break
		}
		group.Go(func() error { f(i); return nil })
	}
	_ = group.Wait()
}

// end closes everything.
func (a *attack) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, nc := range a.held {
		nc.Close()
	}
	a.held = nil
}

// local returns one of many addresses of this machine, none of which is the usual one.
func local(i int) string { return fmt.Sprintf("127.%d.%d.%d", 1+i/(250*250)%250, 1+i/250%250, 2+i%250) }

// landing fails the test when the attack was none, because nothing of it got through.
func (a *attack) landing(t testing.TB, least int) {
	if raced {
		least = min(least, 1)
	}
	if got := a.landed.Load(); got < int64(least) {
		t.Errorf("the attack did not take place: %d of at least %d", got, least)
	}
}
