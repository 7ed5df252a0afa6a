package mqtt

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
)

// requests are the Requests of a client.
type requests struct {
	lock keyedLock // one at a time for each topic that a Request names; "": for making current

	mu      sync.Mutex // a leaf: nothing is called while it is held
	current *responses // for new Requests; nil: the next one makes one
	n       int        // Requests under way
	refused error      // why no more are taken; nil: they are
	over    progress   // one of them has ended
}

// begin counts a Request, which has to call end.
func (r *requests) begin() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused == nil {
		r.n++
	}
	return r.refused
}

func (r *requests) end() {
	r.mu.Lock()
	r.n--
	r.mu.Unlock()
	r.over.made()
}

// refuse takes no more Requests because of err.
func (r *requests) refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused == nil {
		r.refused = err
	}
}

// underway returns how many Requests are under way.
func (r *requests) underway() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// responses are a response topic of the client, its Subscription, and the
// Requests that wait for what comes on it.
type responses struct {
	topic string
	info  string // the server's response information when it was made
	sub   *Subscription

	mu           sync.Mutex // a leaf as well
	correlations correlations
	waiting      map[string]*asked // by correlation data
	superseded   bool              // another one is current: it ends with its last Request
	ended        error             // why sub ended
}

// asked is a Request that waits.
type asked struct {
	correlation string
	response    chan response
}

// response is what a Request waits for. Its channel has space for it.
type response struct {
	m   *Message
	err error
}

// result returns what a Request returns. A response that reports a failure
// becomes an error.
func (r response) result(topic string) (*Message, error) {
	if r.err != nil {
		return nil, &requestError{"request", topic, true, r.err}
	}
	i := slices.IndexFunc(r.m.UserProperties, func(p UserProperty) bool { return p.Name == errorProperty })
	if i < 0 {
		return r.m, nil
	}
	return nil, &requestError{"request", topic, true, &ResponseError{Text: r.m.UserProperties[i].Value, Response: r.m}}
}

// ResponseError is the response of a Respond whose function failed.
type ResponseError struct {
	Text     string   // of the error that the function returned
	Response *Message // as it came
}

// Error quotes the responder.
func (e *ResponseError) Error() string { return fmt.Sprintf("responder failed: %.200q", e.Text) }

// add registers a Request, or returns nil when r has come to its end.
func (r *responses) add() *asked {
	a := &asked{response: make(chan response, 1)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.superseded || r.ended != nil {
		return nil
	}
	a.correlation = r.correlations.next()
	r.waiting[a.correlation] = a
	return a
}

// resolve gives m to the Request that it answers, if there is one.
func (r *responses) resolve(m *Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.waiting[string(m.CorrelationData)]
	if a == nil || m.Retain {
		return false
	}
	delete(r.waiting, a.correlation)
	a.response <- response{m: m} // has space for it: it got nothing before
	return true
}

// fail fails all that wait.
func (r *responses) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = err
	for _, a := range r.waiting {
		a.response <- response{err: err}
	}
	clear(r.waiting)
}

// supersede takes no more Requests and reports whether none is left.
func (r *responses) supersede() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.superseded = true
	return len(r.waiting) == 0
}

// remove forgets a Request. It reports whether r has come to its end: it is not the
// current one, and this was the last.
func (r *responses) remove(a *asked) (over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, a.correlation)
	return r.superseded && len(r.waiting) == 0
}

// correlations numbers the requests of one response topic, behind bytes that
// nobody can guess.
type correlations struct{ bytes [16]byte }

func newCorrelations() (c correlations) {
	rand.Read(c.bytes[:8])
	return c
}

func (c *correlations) next() string {
	n := binary.BigEndian.Uint64(c.bytes[8:])
	binary.BigEndian.PutUint64(c.bytes[8:], n+1)
	return string(c.bytes[:])
}

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
