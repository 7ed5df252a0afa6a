package mqtt

import (
	"sync"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/session"
)

// receipt is what it takes to acknowledge a received message.
type receipt struct {
	origin *origin
	token  session.Token
	acked  uint32 // atomic
}

// origin is where a message came from. Those that went to one Subscription
// share the origin of their client.
type origin struct {
	client *Client
	shared bool
	claims atomic.Int32 // if shared: the Subscriptions that have not acknowledged
}

func (r *receipt) acknowledge() error {
	if !r.due() {
		return nil
	}
	return r.origin.client.acknowledge(r.token)
}

// acknowledgeSoon is acknowledge for those who do not want to know how it ends.
func (r *receipt) acknowledgeSoon() {
	if r.due() {
		r.origin.client.receipts.add(r.token)
	}
}

// due says, once, that the server has to be told.
func (r *receipt) due() bool {
	if r.token.IsZero() || !atomic.CompareAndSwapUint32(&r.acked, 0, 1) {
		return false
	}
	return !r.origin.shared || r.origin.claims.Add(-1) == 0
}

// receipts gathers acknowledgements until the writer comes for them, so that
// consumers do not queue for the engine's lock.
type receipts struct {
	mu     sync.Mutex
	tokens []session.Token
	writer *conn // of the established connection; nil: the next one comes for them

	spare []session.Token // takes turns with tokens; guarded by Client.mu
}

func (r *receipts) add(t session.Token) {
	r.mu.Lock()
	r.tokens = append(r.tokens, t)
	var wake *conn
	if len(r.tokens) == 1 {
		wake = r.writer
	}
	r.mu.Unlock()
	if wake != nil {
		wake.wakeUp()
	}
}

// serve says who comes for what gathers from now on.
func (r *receipts) serve(k *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writer = k
}

// hand gives what has gathered to the engine. Called with Client.mu held.
func (r *receipts) hand(engine *session.Client) {
	r.mu.Lock()
	tokens := r.tokens
	if len(tokens) == 0 {
		r.mu.Unlock()
		return
	}
	r.tokens = r.spare
	r.mu.Unlock()
	for _, t := range tokens {
		engine.Receiver.Ack(t, Success) // what is stale needs no acknowledgement
	}
	clear(tokens)
	r.spare = tokens[:0]
}

// trim gives back the memory of busier times. Called with Client.mu held.
func (r *receipts) trim() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spare = nil
	if len(r.tokens) == 0 {
		r.tokens = nil
	}
}

// acknowledge acknowledges a received message.
func (c *Client) acknowledge(t session.Token) (err error) {
	c.do(func(engine *session.Client) {
		if err = engine.Receiver.Ack(t, Success); err == nil {
			err = c.status.err // nobody will tell the server any more
		}
	})
	return err
}
