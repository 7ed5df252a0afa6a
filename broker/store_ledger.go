package broker

// ledger follows what is changed in memory before the store has it, by key. Only
// the last state counts: what changes often is written as often as the store takes
// it, and needs no more memory for that. hub.mu guards it.
type ledger[K, V comparable] struct {
	changes map[K]*change[V]
}

// change is one key that is not as it is in the store. The zero V stands for nothing.
type change[V comparable] struct {
	durable V    // what the store has
	writing V    // what it is getting
	flying  bool // it is getting something
}

// note is called before what is under k is replaced.
func (l *ledger[K, V]) note(k K, old V) {
	if l.changes == nil {
		l.changes = make(map[K]*change[V])
	}
	if l.changes[k] == nil {
		l.changes[k] = &change[V]{durable: old}
	}
}

// replaced is called after it was replaced by now. What is again as it is in the store
// is forgotten, or a store that hangs would let everything gather that comes and goes.
func (l *ledger[K, V]) replaced(k K, now V) {
	if c := l.changes[k]; c != nil && !c.flying && c.durable == now {
		delete(l.changes, k)
	}
}

// begin calls write for everything that the store has not got.
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

// end says whether what begin wrote is durable. If it is not, it calls undo for what
// has not been replaced meanwhile, which may put back what the store has.
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
