package broker

import (
	"sync"
	"sync/atomic"
)

// quota is something that there is only so much of, such as bytes of memory, and that
// many holders share. A quarter is left for those who have little, at most
// 1/modestPart of all. Of the rest a holder may have four times what is left free: one
// greedy holder gets three fifths of all, and there is something for those who come
// later, 64 greedy ones notwithstanding. Nobody has to set how much a user may have.
type quota struct {
	limit int64
	used  atomic.Int64

	everybody *holder // see join

	mu      sync.Mutex // guards the rest; a leaf
	holders map[string]*holder
}

const (
	// holderShare bounds what a holder has, in units of what is free.
	holderShare = 4
	// modestPart of the limit, divided by it, is what everybody may have.
	modestPart = 256
)

// holder is one of those who share a quota. All of its methods may be called by many
// goroutines at a time, and on nil, which has no limit.
type holder struct {
	quota *quota
	name  string
	users int // guarded by quota.mu
	used  atomic.Int64
}

func newQuota(limit int) *quota {
	q := &quota{limit: int64(limit), holders: make(map[string]*holder)}
	q.everybody = &holder{quota: q}
	return q
}

// join returns the holder of a name, which lasts until everybody who joined has left.
// The empty name is that of the program, and of all where nobody is told apart: it may
// have everything.
func (q *quota) join(name string) *holder {
	if name == "" {
		return q.everybody
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	h := q.holders[name]
	if h == nil {
		h = &holder{quota: q, name: name}
		q.holders[name] = h
	}
	h.users++
	return h
}

// leave is the end of what join began. What the caller has taken should be given back:
// if it is later, somebody new of the same name starts with nothing.
func (h *holder) leave() {
	if h == nil || h == h.quota.everybody {
		return
	}
	h.quota.mu.Lock()
	defer h.quota.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(h.quota.holders, h.name)
	}
}

// take reports whether the holder gets n. It gets nothing otherwise.
func (h *holder) take(n int) bool {
	h.charge(n)
	if h.has(0) {
		return true
	}
	h.give(n)
	return false
}

// has reports whether there is space for n more than the holder has.
func (h *holder) has(n int) bool {
	if h == nil {
		return true
	}
	limit, used, own := h.quota.limit, h.quota.used.Load()+int64(n), h.used.Load()+int64(n)
	switch {
	case used > limit:
		return false
	case h == h.quota.everybody || own <= max(limit/modestPart, 1):
		return true
	}
	return own <= holderShare*(limit-limit/4-used)
}

// fits reports whether the holder of a name could take n now.
func (q *quota) fits(name string, n int) bool {
	h := q.join(name)
	defer h.leave()
	return h.has(n)
}

// charge takes n whatever is left, for what is there already.
func (h *holder) charge(n int) { h.chargePart(n, n) }

// chargePart charges own to the holder, of which only part counts in all, as others have
// paid for the rest.
func (h *holder) chargePart(own, part int) {
	if h != nil {
		h.quota.used.Add(int64(part))
		h.used.Add(int64(own))
	}
}

// give gives back n.
func (h *holder) give(n int) { h.charge(-n) }
