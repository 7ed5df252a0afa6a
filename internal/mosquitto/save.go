package mosquitto

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/internal/daemon"
)

// database is the name of the file that holds the server's state.
const database = "mosquitto.db"

// ErrNotSaved is the error of [Server.Save] if the server ended, or was not running,
// before the file was complete.
var ErrNotSaved = errors.New("mosquitto: not saved: the server is not running")

// saving lets concurrent calls of Save share a save.
type saving struct {
	rounds sync.WaitGroup

	mu     sync.Mutex
	next   *round // the round that has not begun yet; nil: no call waits for one
	active bool   // a goroutine runs rounds
}

// round is one save. err is set before done is closed.
type round struct {
	done chan struct{}
	err  error
}

// Save makes the server write its state to the file and returns when the file is
// complete. Everything that the server has sent before the call then survives Kill.
// Concurrent calls share a save. It needs [Options.Persistence].
func (s *Server) Save(ctx context.Context) error {
	if !s.opts.Persistence {
		return errors.New("mosquitto: saving needs Options.Persistence")
	}
	r := s.joinRound()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// joinRound returns a round that begins after the call.
func (s *Server) joinRound() *round {
	v := &s.saving
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.next == nil {
		v.next = &round{done: make(chan struct{})}
	}
	if !v.active {
		v.active = true
		v.rounds.Go(s.runRounds)
	}
	return v.next
}

func (s *Server) runRounds() {
	v := &s.saving
	for {
		v.mu.Lock()
		r := v.next
		v.next = nil
		v.active = r != nil
		v.mu.Unlock()
		if r == nil {
			return
		}
		r.err = s.save()
		close(r.done)
	}
}

// save returns when the file has been replaced. The server has one thread, which
// sends nothing while it saves. A file that appears after this call therefore
// contains everything that was sent before it, even if the save was already under
// way.
func (s *Server) save() error {
	p := s.current()
	if p == nil {
		return ErrNotSaved
	}
	before, _ := os.Stat(s.path(database)) // nil before the first save
	if err := p.Signal(daemon.Save); err != nil {
		return ErrNotSaved
	}
	poll := time.NewTicker(500 * time.Microsecond)
	defer poll.Stop()
	nudge := time.NewTicker(3 * time.Millisecond)
	defer nudge.Stop()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case <-poll.C:
			// Both files exist at the moment of the rename, so the new one is
			// never the same file as the old one.
			after, err := os.Stat(s.path(database))
			if err == nil && (before == nil || !os.SameFile(before, after)) {
				return nil
			}
		case <-nudge.C:
			s.nudge(p)
		case <-p.Exited():
			return ErrNotSaved
		case <-timeout.C:
			return errors.New("mosquitto: the server does not save")
		}
	}
}

// nudge hastens a save that has not begun. It repeats the signal, because the server
// loses a signal that comes after it has renamed the file and before it clears its
// flag, which is exactly when the next round begins. It also makes a connection,
// because the server checks for signals only once per round of its event loop: on a
// quiet server every 100 ms.
func (s *Server) nudge(p *daemon.Process) {
	if _, err := os.Stat(s.path(database + ".new")); err == nil {
		return
	}
	_ = p.Signal(daemon.Save)
	if conn, err := net.DialTimeout("tcp", s.direct(), time.Second); err == nil {
		conn.Close()
	}
}
