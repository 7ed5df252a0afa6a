package mqtt

import "sync/atomic"

// window bounds the QoS 1 and 2 messages that wait here. size is how many the server
// may send without an acknowledgement, where ReceiveMaximum has turned out to be more
// than there is space for; it is guarded by engine.mu, as is narrowed.
type window struct {
	size     int // 0: ReceiveMaximum
	narrowed bool
	mayWait  atomic.Int64 // in each queue
}

// narrow makes the window of the next connections smaller than open messages.
func (w *window) narrow(open, most int) {
	if w.size > 0 {
		most = min(most, w.size)
	}
	w.size = max(1, min(most, open)*3/4)
	w.narrowed = true
}

// announce returns the receive maximum of a new connection.
func (w *window) announce(most uint16) uint16 {
	if w.size == 0 || w.size >= int(most) {
		return most
	}
	return uint16(w.size)
}

// established lets the window grow again when a connection has passed without want
// of space.
func (w *window) established() {
	if !w.narrowed {
		w.size = min(2*w.size, 1<<16)
	}
	w.narrowed = false
}
