package broker

import (
	"context"
	"sync"
	"time"
)

// identifiers are the client identifiers of clients that are entering, and of sessions
// that the store has yet to forget.
type identifiers struct {
	mu       sync.Mutex               // a leaf
	entering map[string]chan struct{} // closed when the client has entered or was refused; nil: no client waits
	erases   map[string]int           // sessions to be forgotten
}

func newIdentifiers() identifiers {
	return identifiers{entering: make(map[string]chan struct{}), erases: make(map[string]int)}
}

// lock waits until no other client with the same identifier is entering. It reports
// false if the deadline or the end of ctx comes first.
func (t *identifiers) lock(ctx context.Context, deadline time.Time, clientID string) bool {
	for {
		over := t.tryLock(clientID)
		if over == nil {
			return true
		}
		ctx, cancel := context.WithDeadline(ctx, deadline)
		select {
		case <-over:
			cancel()
		case <-ctx.Done():
			cancel()
			return false
		}
	}
}

// tryLock locks an identifier. If it is locked already, it returns a channel that is
// closed on unlock.
func (t *identifiers) tryLock(clientID string) (over chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	over, taken := t.entering[clientID]
	switch {
	case !taken:
		t.entering[clientID] = nil // no client waits yet
		return nil
	case over == nil:
		over = make(chan struct{})
		t.entering[clientID] = over
	}
	return over
}

// unlock lets the next client enter under the identifier.
func (t *identifiers) unlock(clientID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if over := t.entering[clientID]; over != nil {
		close(over)
	}
	delete(t.entering, clientID)
}

// erasing says that the session under an identifier is over. The next client with the
// identifier finds no session, and waits until the store has forgotten the old one.
// The wait ends when erased is called.
func (t *identifiers) erasing(clientID string) (erased func(error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.erases[clientID]++
	return func(error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.erases[clientID]--; t.erases[clientID] == 0 {
			delete(t.erases, clientID)
		}
	}
}

// isErased reports whether the store has yet to forget a session of this client.
func (t *identifiers) isErased(clientID string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.erases[clientID] > 0
}
