package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/wsconn"
	"github.com/seed65a45251/mqtt/internal/line"
)

// A client that connects again has often left something in its old connection that
// the broker has not read yet: QoS 0 messages, which are never repeated, or a
// DISCONNECT that cancels the will. The old connection therefore first handles the
// bytes that have arrived on it. It does not wait for further bytes, so a half-open
// connection delays no client.
const (
	// catchUpTimeout bounds the time for that. What was not read by then is lost. The
	// bytes are bounded by the buffer of the socket.
	catchUpTimeout = time.Second
	// hookPatience is how long the old connection may spend on one packet if hooks
	// that may block are asked.
	hookPatience = 3 * time.Millisecond
	// silence is how long a connection must bring no bytes if it cannot tell how many
	// have arrived. That is any connection other than TCP on Linux, and TLS that is
	// not ours.
	silence = 3 * time.Millisecond
	// catchUpPause is the pause before the second check. Each pause is twice as long
	// as the last, up to a millisecond.
	catchUpPause = 20 * time.Microsecond
	// latePending is how many bytes of answers may wait for a client that has gone,
	// while the last of what it has sent is handled.
	latePending = 4 << 20
)

// catchUp returns when the connection of the client id, if there is one, has handled
// the bytes that had arrived on it.
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
	// The connection must not wait for a client that no longer reads its answers.
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

// lines returns the layers that c is read through, the one nearest the wire first.
func (c *conn) lines() []*line.Conn {
	switch l := c.line.(type) {
	case *wsconn.Conn:
		return l.Lines()
	case *line.Conn:
		return []*line.Conn{l}
	}
	return nil
}

// watcher waits until a connection has been read up to a target.
type watcher struct {
	conn   *conn
	line   *line.Conn
	target int64 // bytes
	known  bool  // the target is known
	end    time.Time
	moved  moved
}

// moved records the last progress of the reader.
type moved struct {
	asked, received int64
	steps           uint32
	at              time.Time
}

// wait returns when the target is reached or cannot be reached. It reports whether it
// was reached.
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

// passed reports whether the reader has handled everything up to the target.
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
