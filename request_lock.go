package mqtt

import (
	"context"
	"sync"
)

// keyedLock lets one caller at a time through for each key.
type keyedLock struct {
	mu   sync.Mutex
	keys map[string]*keyLock
}

type keyLock struct {
	free  chan struct{} // one token: nobody has it
	users int           // callers that have it or wait for it
}

// acquire waits for the lock of key, which release has to give back.
func (l *keyedLock) acquire(ctx context.Context, key string) error {
	l.mu.Lock()
	if l.keys == nil {
		l.keys = make(map[string]*keyLock)
	}
	k := l.keys[key]
	if k == nil {
		k = &keyLock{free: make(chan struct{}, 1)}
		k.free <- struct{}{}
		l.keys[key] = k
	}
	k.users++
	l.mu.Unlock()
	select {
	case <-k.free:
		return nil
	case <-ctx.Done():
		l.forget(key)
		return context.Cause(ctx)
	}
}

func (l *keyedLock) release(key string) {
	l.mu.Lock()
	k := l.keys[key]
	l.mu.Unlock()
	k.free <- struct{}{} // has space for it: the token was taken
	l.forget(key)
}

// forget ends a use of the lock of key, the last of which ends the lock.
func (l *keyedLock) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.keys[key]
	if k.users--; k.users == 0 {
		delete(l.keys, key)
	}
}
