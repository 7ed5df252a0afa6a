package broker

import (
	"sync"
	"sync/atomic"
)

// quota is a limited resource, such as bytes of memory, that many holders share. A
// quarter of it is left for small holders, with at most 1/modestPart of all each. Of
// the rest a holder may have up to four times what is free. One greedy holder so gets
// three fifths of all, and even 64 greedy ones leave something for later holders. No
// share has to be configured.
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
	// modestPart divides the limit: each holder may have that part of it.
	modestPart = 256
)

// holder is one of the users of a quota. Its methods are safe for concurrent use. A
// nil holder has no limit.
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

// join returns the holder with a name, which lasts until every caller of join has
// called leave. The empty name stands for the program, and for all clients if they are
// not told apart. That holder may use the whole quota.
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

// leave undoes join. The caller should have given back what it has taken. If it does
// so later, a new holder of the same name does not count it.
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

// take charges n and reports whether the holder may have it. If not, nothing is
// charged.
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

// fits reports whether the holder with a name could take n now.
func (q *quota) fits(name string, n int) bool {
	h := q.join(name)
	defer h.leave()
	return h.has(n)
}

// charge takes n, even beyond the limit, for state that exists already.
func (h *holder) charge(n int) { h.chargePart(n, n) }

// chargePart charges own to the holder, but only part to the quota, because other
// holders have paid for the rest.
func (h *holder) chargePart(own, part int) {
	if h != nil {
		h.quota.used.Add(int64(part))
		h.used.Add(int64(own))
	}
}

// give gives back n.
func (h *holder) give(n int) { h.charge(-n) }
