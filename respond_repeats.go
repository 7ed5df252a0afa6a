package mqtt

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// What Respond remembers of requests at most, besides those that are being answered, and
// for how long by default.
const (
	rememberedRequests = 4096
	rememberedBytes    = 1 << 20
	rememberFor        = time.Minute
)

// repeats are the requests that a Respond recognises when they come again. A request is
// known by all that makes it this request, so that another one with the same
// correlation data is another one.
type repeats struct {
	keep time.Duration // after the answer; negative: nothing is recognised

	mu    sync.Mutex // a leaf
	known map[requestKey]*known
	done  []*known // those that are answered, the oldest first
	bytes int      // of their answers
}

type requestKey [sha256.Size]byte

// known is a request that f was called for. Guarded by repeats.mu, but key.
type known struct {
	key     requestKey
	running bool
	again   []*Message // came again while it was running
	outcome            // once it was answered
	until   time.Time
	size    int
}

// outcome is what a function has returned. It is never changed.
type outcome struct {
	answer  *Message
	failure error
}

func newRepeats(keep time.Duration) *repeats {
	return &repeats{keep: cmp.Or(keep, rememberFor), known: make(map[requestKey]*known)}
}

// keyOf returns by what m is known. ok is false if nothing tells m from others: a
// requester that expects several responses tells them apart by correlation data. QoS 0
// messages do not come again.
func (r *repeats) keyOf(m *Message) (key requestKey, ok bool) {
	if r.keep < 0 || m.QoS == AtMostOnce || m.ResponseTopic == "" || len(m.CorrelationData) == 0 {
		return key, false
	}
	var space [512]byte // enough for most
	b := appendPart(space[:0], m.CorrelationData)
	b = appendPart(b, m.Payload)
	b = appendPart(b, m.ResponseTopic)
	b = appendPart(b, m.Topic)
	b = appendPart(b, m.ContentType)
	for _, p := range m.UserProperties {
		b = appendPart(b, p.Name)
		b = appendPart(b, p.Value)
	}
	return sha256.Sum256(b), true
}

// appendPart appends part to b so that its end shows.
func appendPart[T string | []byte](b []byte, part T) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
	return append(b, part...)
}

// begin looks m up. If k is nil, nothing is remembered of m. If first is set, f is to be
// called for it and k finished or given up. If waits is set, m is a repetition of a
// request that is running, and ends with that. Otherwise it is one of k.outcome.
func (r *repeats) begin(m *Message) (k *known, first, waits bool) {
	key, ok := r.keyOf(m)
	if !ok {
		return nil, true, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetLocked(time.Now())
	switch k = r.known[key]; {
	case k == nil:
		k = &known{key: key, running: true}
		r.known[key] = k
		return k, true, false
	case k.running:
		k.again = append(k.again, m)
		return k, false, true
	}
	return k, false, false
}

// finish remembers what was answered, and returns what came again meanwhile.
func (r *repeats) finish(k *known, o outcome) (again []*Message) {
	if k == nil {
		return nil
	}
	size := 0
	if o.answer != nil {
		size = o.answer.weight()
	}
	if o.failure != nil {
		o.failure = errors.New(propertyText(o.failure.Error()))
		size += len(o.failure.Error())
	}
	if o.answer != nil && size <= rememberedBytes {
		o.answer = o.answer.Clone() // f may use its own again
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	again, k.again, k.running = k.again, nil, false
	if size > rememberedBytes {
		delete(r.known, k.key)
		return again
	}
	now := time.Now()
	k.outcome, k.size, k.until = o, size, now.Add(r.keep)
	r.done = append(r.done, k)
	r.bytes += size
	r.forgetLocked(now)
	return again
}

// giveUp is for a request that has expired. It returns one that came again meanwhile and
// takes its place, or nil.
func (r *repeats) giveUp(k *known) (next *Message) {
	if k == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(k.again) == 0 {
		delete(r.known, k.key)
		return nil
	}
	next, k.again = k.again[0], k.again[1:]
	return next
}

// forgetLocked forgets the oldest that are too old or too much.
func (r *repeats) forgetLocked(now time.Time) {
	n := 0
	for n < len(r.done) && (!now.Before(r.done[n].until) || len(r.done)-n > rememberedRequests || r.bytes > rememberedBytes) {
		r.bytes -= r.done[n].size
		delete(r.known, r.done[n].key)
		r.done[n] = nil
		n++
	}
	if r.done = r.done[n:]; len(r.done) == 0 {
		r.done = nil
	}
}
