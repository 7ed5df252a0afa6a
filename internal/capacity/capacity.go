// Package capacity is what a queue of messages still takes, and who waits for that, in
// which order.
package capacity

// Class is a class of messages. The classes share a queue, and each may have limits of
// its own in it.
type Class uint8

// The classes.
const (
	Acknowledged Class = iota // QoS 1 and 2
	AtMostOnce                // QoS 0
	classes
)

// Load is a number of messages and their size in bytes.
type Load struct{ Messages, Bytes int }

// Add adds so many messages of so many bytes together; negative numbers take them off.
func (l *Load) Add(messages, bytes int) {
	l.Messages += messages
	l.Bytes += bytes
}

// Room is what is left of a limit.
type Room struct {
	Empty bool // nothing is there: any message fits, because one larger than the limit must be possible
	Load
}

// Left is what a limit leaves beside used.
func (limit Load) Left(used Load) Room {
	return Room{used.Messages <= 0, Load{limit.Messages - used.Messages, limit.Bytes - used.Bytes}}
}

// Fits says whether there is room for a message of that size.
func (r *Room) Fits(size int) bool { return r.Empty || r.Messages > 0 && size <= r.Bytes }

// full says whether there is room for none.
func (r *Room) full() bool { return !r.Empty && r.Messages <= 0 }

func (r *Room) reserve(size int) {
	r.Empty = false
	r.Add(-1, -size)
}

// Free is what a queue still takes: of all messages, and of each class.
type Free struct {
	All   Room
	Class [classes]Room
}

// Fits says whether the queue takes a message.
func (f *Free) Fits(c Class, size int) bool { return f.All.Fits(size) && f.Class[c].Fits(size) }

func (f *Free) full(c Class) bool { return f.All.full() || f.Class[c].full() }

func (f *Free) reserve(c Class, size int) {
	f.All.reserve(size)
	f.Class[c].reserve(size)
}
