package mqtt

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// gathering lets the writer wait, for a moment, for more of a stream of QoS 0 messages. A
// writer that is faster than the publishers would otherwise write a few small messages at a
// time, and disturb the publishers at their lock each time. Only Flush may wait for what
// gathers: Publish has returned, and the server answers nothing. Any other packet ends the
// wait, and so does enough of the stream. engine.mu guards all fields.
type gathering struct {
	on      bool   // the writer waits
	stream  uint64 // messages of publishNow since a buffer was last taken
	packets uint64 // that were sent before them
	last    int    // bytes of the last buffer
	calm    int    // buffers to take until the writer may wait again
}

const (
	// gatherTime is the longest wait.
	gatherTime = 100 * time.Microsecond
	// gatherEnough is how many bytes end the wait.
	gatherEnough = 32 << 10
	// gatherBelow is how small the last write has to be: a writer that has more to do is
	// not faster than the publishers.
	gatherBelow = 64 << 10
	// gatherFrom is how many messages have to come during one write for a wait.
	gatherFrom = 32
	// gatherCalm is how many buffers are taken without a wait after one that was in vain.
	gatherCalm = 64
)

// takenLocked says that the buffer is taken.
func (g *gathering) takenLocked(engine *session.Client) {
	g.stream, g.packets = 0, engine.PacketsSent()
}

// pureLocked reports whether nothing but the stream has come since.
func (g *gathering) pureLocked(engine *session.Client) bool {
	return engine.PacketsSent() == g.packets+g.stream
}

// beginLocked reports whether the writer is to wait.
func (g *gathering) beginLocked(engine *session.Client) bool {
	if g.calm > 0 {
		g.calm--
		return false
	}
	g.on = g.stream >= gatherFrom && g.last < gatherBelow && engine.Pending() < gatherEnough && g.pureLocked(engine)
	return g.on
}

// holdsLocked reports whether the writer may go on waiting although something was added.
func (g *gathering) holdsLocked(engine *session.Client) bool {
	if !g.on || engine.Pending() >= gatherEnough {
		return false
	}
	if g.pureLocked(engine) {
		return true
	}
	g.calm = gatherCalm
	return false
}

// gatherTimer is the writer's. It is made with the first wait: few connections ever have one.
type gatherTimer struct{ timer *time.Timer }

// start returns a channel that is ready when the wait is over.
func (t *gatherTimer) start() <-chan time.Time {
	if t.timer == nil {
		t.timer = time.NewTimer(gatherTime)
	} else {
		t.timer.Reset(gatherTime)
	}
	return t.timer.C
}
