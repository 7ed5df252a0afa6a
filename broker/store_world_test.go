package broker

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// crashing is a Store that stands still at a certain Commit, as a machine does that
// crashes. What comes after it is lost, and nobody is told.
type crashing struct {
	*store.Mem
	at      int  // the number of the Commit; 0: none
	applied bool // the Commit still reaches the disk
	crashed chan struct{}
	release chan struct{} // closed when the broker may be cleaned up

	mu      sync.Mutex // guards what follows
	flaky   *rand.Rand // Commits fail now and then; nil: never
	commits int
	dead    bool
}

// die makes all that follows fail, as if there were no machine.
func (s *crashing) die() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
}

func newCrashing(m *store.Mem, at int, applied bool) *crashing {
	return &crashing{Mem: m, at: at, applied: applied, crashed: make(chan struct{}), release: make(chan struct{})}
}

func (s *crashing) Commit(ops []store.Op) error {
	s.mu.Lock()
	s.commits++
	dead, crashes := s.dead, s.commits == s.at
	if !dead && !crashes && s.flaky != nil && s.flaky.IntN(4) == 0 {
		s.mu.Unlock()
		return errFull
	}
	s.dead = dead || crashes
	s.mu.Unlock()
	switch {
	case dead:
		return store.ErrClosed
	case !crashes:
		return s.Mem.Commit(ops)
	case s.applied:
		_ = s.Mem.Commit(ops)
	}
	close(s.crashed)
	<-s.release
	return store.ErrClosed
}

// world is a broker that crashes and is started again, with clients that come back.
type world struct {
	t       *testing.T
	memory  *store.Mem
	disk    *crashing
	cfg     Config
	broker  *Broker
	actors  []*actor
	crashes int
	flaky   *rand.Rand // of the Store, if it fails now and then
}

// crash says at which Commit a broker ends.
type crash struct {
	at      int
	applied bool
}

func newWorld(t *testing.T, c crash) *world {
	w := &world{t: t, memory: store.Memory()}
	w.start(c)
	t.Cleanup(w.close)
	return w
}

func (w *world) start(c crash) {
	w.disk = newCrashing(w.memory, c.at, c.applied)
	w.disk.flaky = w.flaky
	w.cfg.Store = w.disk
	var err error
	w.broker, err = Open(w.cfg)
	require.NoError(w.t, err)
}

// restart ends what is left of the broker and starts the next one.
func (w *world) restart(c crash) {
	w.crashes++
	for _, a := range w.actors {
		a.cut()
	}
	w.disk.die()
	old, disk := w.broker, w.disk
	w.start(c)
	close(disk.release)
	require.NoError(w.t, old.Close())
}

func (w *world) hasCrashed() bool {
	select {
	case <-w.disk.crashed:
		return true
	default:
		return false
	}
}

// until moves everything on until done says so. When the broker crashes the next one
// ends as next says.
func (w *world) until(next crash, done func() bool) {
	w.t.Helper()
	for range 2000 {
		synctest.Wait()
		if w.hasCrashed() {
			w.restart(next)
			next = crash{}
		}
		if done() {
			return
		}
		for _, a := range w.actors {
			a.step()
		}
	}
	w.t.Fatal("nothing goes on")
}

func (w *world) close() {
	for _, a := range w.actors {
		a.cut()
	}
	w.disk.die()
	close(w.disk.release)
	require.NoError(w.t, w.broker.Close())
}

// records returns how many records of these kinds the Store has.
func (w *world) records(kinds ...records.Kind) (n int) {
	for _, kind := range kinds {
		for _, err := range w.memory.Scan(kind.Prefix()) {
			require.NoError(w.t, err)
			n++
		}
	}
	return n
}

// actor is a client with a session, which it does not lose.
type actor struct {
	w       *world
	engine  *session.Client
	version wire.Version
	connect wire.Connect
	filters []wire.SubscribeFilter // to subscribe to, until that is answered
	held    bool                   // acknowledges nothing
	work    func(received)         // gets the messages and acknowledges them itself; nil: nobody
	net     net.Conn
	reader  *wire.Reader
	got     []wire.Publish
	done    []*session.Outgoing
	present bool // the last CONNACK said so
	asked   bool // SUBSCRIBE is sent on this connection
}

// received is a message that is not acknowledged yet.
type received struct {
	engine  *session.Client
	message wire.Publish
	token   session.Token
}

func (w *world) actor(v wire.Version, id string, filters ...wire.SubscribeFilter) *actor {
	a := &actor{w: w, version: v, filters: filters, connect: wire.Connect{ClientID: id}}
	if v == wire.V5 {
		a.connect.SessionExpiryInterval = 3600
	}
	a.engine = session.NewClient(session.ClientSettings{HasSession: true})
	w.actors = append(w.actors, a)
	return a
}

func (a *actor) cut() {
	if a.net != nil {
		a.net.Close()
		a.net = nil
		a.engine.Lost(false)
	}
}

// step connects if need be, writes what there is and handles what comes.
func (a *actor) step() {
	t := a.w.t
	if a.net == nil {
		nc, err := a.w.broker.Dial(t.Context())
		require.NoError(t, err)
		a.net, a.reader = nc, wire.NewReader(nc, a.version, 0)
		connect := a.connect
		require.NoError(t, a.engine.Connect(a.version, &connect, time.Now()))
		a.asked = false
	}
	if a.engine.Connected() && len(a.filters) > 0 && !a.asked {
		a.asked = true
		require.NoError(t, a.engine.Request(&session.Request{Subscribe: &wire.Subscribe{Filters: a.filters}}))
	}
	if b := a.engine.Take(nil, time.Now()); len(b) > 0 {
		if _, err := a.net.Write(b); err != nil {
			a.cut()
			return
		}
		a.engine.Wrote(time.Now())
	}
	require.NoError(t, a.net.SetReadDeadline(time.Now().Add(time.Millisecond)))
	err := a.reader.Fill()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	if err == nil {
		err = a.engine.HandleBuffered(a.reader, time.Now())
	}
	if err != nil {
		a.cut()
		return
	}
	a.take()
}

// take takes what the packets brought.
func (a *actor) take() {
	t := a.w.t
	if ack := a.engine.Connack(); ack != nil {
		a.present = ack.SessionPresent
	}
	for _, r := range a.engine.Answered(nil) {
		if r.Err == nil {
			a.filters = nil
		}
	}
	a.done = a.engine.Sender.Completed(a.done)
	for _, m := range a.engine.Received() {
		p := m.Publish
		p.Payload = append([]byte(nil), p.Payload...)
		p.Properties = copyProperties(p.Properties)
		a.got = append(a.got, p)
		if a.work != nil {
			a.work(received{a.engine, p, m.Token})
		} else if !a.held {
			require.NoError(t, a.engine.Receiver.Ack(m.Token, wire.Success))
		}
	}
	a.engine.Recycle()
}

func (a *actor) publish(p wire.Publish) {
	a.engine.Sender.Submit(&session.Outgoing{Publish: p}, time.Now())
}

// payloads returns what the client got; repeated says that it is marked as such.
func (a *actor) payloads() (all []string, repeated []bool) {
	for _, p := range a.got {
		all, repeated = append(all, string(p.Payload)), append(repeated, p.Duplicate)
	}
	return all, repeated
}
