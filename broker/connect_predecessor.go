package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/wsconn"
	"github.com/seed65a45251/mqtt/internal/line"
)

// A client that connects again has often left something in its old connection that
// the broker has not read yet: QoS 0 messages that nobody repeats, or a DISCONNECT
// that cancels the will. So the old connection handles first what has arrived on it.
// Nobody waits for what may still come, so one that is half open delays nobody.
const (
	// catchUpTimeout bounds the time for that; what was not read then is lost. The
	// bytes are bounded by what a socket holds.
	catchUpTimeout = time.Second
	// hookPatience is how long the old connection may spend on one packet when hooks
	// are asked that may take their time.
	hookPatience = 3 * time.Millisecond
	// silence is how long a connection has to be read in vain of which nobody knows
	// how much has arrived: any that is no TCP of Linux, and TLS that is not ours.
	silence = 3 * time.Millisecond
	// catchUpPause is how long to wait before the first look; each pause is longer.
	catchUpPause = 20 * time.Microsecond
	// latePending is how many bytes of answers may wait for a client that has gone,
	// while the last of what it has sent is handled.
	latePending = 4 << 20
)

// catchUp returns when the connection that the client id has, if any, has handled
// what had arrived on it.
func (h *hub) catchUp(id string) {
	cl := h.client(id)
	if cl == nil {
		return
	}
	cl.mu.Lock()
	old, connected := cl.conn.(*conn)
	cl.mu.Unlock()
	if !connected {
		return
	}
	// It must not wait for a client that takes no answers any more.
	old.signals.late.Add(1)
	defer old.signals.late.Add(-1)
	old.signals.drained.ring()
	end := time.Now().Add(catchUpTimeout)
	for _, l := range old.lines() {
		w := watcher{conn: old, line: l, end: end}
		w.target, w.known = l.Arrived()
		if !w.wait() {
			return
		}
	}
}

// lines returns the connections that c is read through, beginning at the wire.
func (c *conn) lines() []*line.Conn {
	switch l := c.line.(type) {
	case *wsconn.Conn:
		return l.Lines()
	case *line.Conn:
		return []*line.Conn{l}
	}
	return nil
}

// watcher waits until a connection is read so far.
type watcher struct {
	conn   *conn
	line   *line.Conn
	target int64 // bytes
	known  bool  // target is
	end    time.Time
	moved  moved
}

// moved is how far the reader was when it last made progress.
type moved struct {
	asked, received int64
	steps           uint32
	at              time.Time
}

// wait reports whether the connection goes on and is read so far.
func (w *watcher) wait() bool {
	w.moved.at = time.Now()
	for pause := catchUpPause; ; pause = min(2*pause, time.Millisecond) {
		now := time.Now()
		switch {
		case w.passed(now):
			return true
		case !w.conn.hasSession() || now.After(w.end) || w.stuck(now):
			return false
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-w.conn.hub.ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// passed reports whether the reader is through with everything up to the target.
func (w *watcher) passed(now time.Time) bool {
	asked, received := w.line.Asked(), w.line.Received()
	if m := (moved{asked, received, w.conn.signals.steps.Load(), w.moved.at}); m != w.moved {
		w.moved = m
		w.moved.at = now
	}
	if w.known {
		return asked >= w.target
	}
	if n, known := w.line.Unread(); known && n > 0 {
		w.moved.at = now
	}
	return asked == received && now.Sub(w.moved.at) >= silence
}

// stuck reports whether a hook takes too long.
func (w *watcher) stuck(now time.Time) bool {
	return w.conn.hub.slowHooks && now.Sub(w.moved.at) >= hookPatience
}
