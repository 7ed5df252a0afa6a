package broker

// ledger tracks, by key, what was changed in memory and is not stored yet. Only the
// last state counts: a value that changes often is written as often as the store can
// take it, and needs no more memory than one that changes once. hub.mu guards it.
type ledger[K, V comparable] struct {
	changes map[K]*change[V]
}

// change is a key whose value differs from the one in the store. The zero V means
// that there is none.
type change[V comparable] struct {
	durable V    // the value in the store
	writing V    // the value that is being written
	flying  bool // writing is being written
}

// note is called before the value old of k is replaced.
func (l *ledger[K, V]) note(k K, old V) {
	if l.changes == nil {
		l.changes = make(map[K]*change[V])
	}
	if l.changes[k] == nil {
		l.changes[k] = &change[V]{durable: old}
	}
}

// replaced is called after the value of k was replaced by now. If now is the value in
// the store, the key is forgotten: otherwise values that come and go would pile up
// while a store hangs.
func (l *ledger[K, V]) replaced(k K, now V) {
	if c := l.changes[k]; c != nil && !c.flying && c.durable == now {
		delete(l.changes, k)
	}
}

// begin calls write for every value that is not stored yet.
func (l *ledger[K, V]) begin(current func(K) V, write func(k K, v V)) {
	for k, c := range l.changes {
		now := current(k)
		if now == c.durable {
			delete(l.changes, k)
			continue
		}
		c.writing, c.flying = now, true
		write(k, now)
	}
}

// end says whether the values of begin are durable. If they are not, it calls undo
// for those that have not been replaced meanwhile. undo may put back the stored
// value.
func (l *ledger[K, V]) end(ok bool, current func(K) V, undo func(k K, failed, durable V)) {
	for k, c := range l.changes {
		if !c.flying {
			continue
		}
		switch {
		case ok:
			c.durable = c.writing
		case current(k) == c.writing:
			undo(k, c.writing, c.durable)
		}
		c.writing, c.flying = *new(V), false
		if current(k) == c.durable {
			delete(l.changes, k)
		}
	}
}
