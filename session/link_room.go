package session

import "time"

const (
	// leastRoom is how many bytes may wait for the writer before new messages have to
	// wait in the queue.
	leastRoom = 256 << 10
	// mostRoom is how many may wait where the network is fast. With less, a publisher
	// waits for the writer while the socket has space.
	mostRoom = 1 << 20
	// promptly is how long a write takes at most on a fast network. So a packet that is
	// appended last, such as an acknowledgement, does not wait much longer for the others.
	promptly = 10 * time.Millisecond
)

// room is how many bytes may wait for the writer. It doubles after each write that was large
// and took no time worth mentioning, and begins anew after a slow one.
type room struct {
	beyond  int       // leastRoom
	began   time.Time // the write under way
	writing int       // its bytes; 0: there is none
}

func (r *room) bytes() int { return leastRoom + r.beyond }

// takes says that the writer has taken n bytes.
func (r *room) takes(n int, now time.Time) { r.writing, r.began = n, now }

// wrote says that they have been written.
func (r *room) wrote(now time.Time) {
	switch {
	case now.Sub(r.began) > promptly:
		r.beyond = 0
	case r.writing >= r.bytes()/2:
		r.beyond = min(2*r.bytes(), mostRoom) - leastRoom
	}
	r.writing = 0
}
