package mqtt

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// ownClients are the clients behind Subscriptions that have a connection of their
// own, by client identifier. Each serves one Subscription, and ends with it or with
// the client that has this list. C is the type of a client.
type ownClients[C comparable] struct {
	mu      sync.Mutex // never held while a client is called
	clients map[string]ownClient[C]
	ended   error          // why there will be no further ones
	past    Stats          // of those that have ended
	closing sync.WaitGroup // those that end with their Subscription
}

// ownClient is a client identifier that is in use.
type ownClient[C comparable] struct {
	client C             // zero: it is not connected yet, or it is about to go
	end    func(error)   // ends client
	parked bool          // what its last handler has not finished waits for the next
	gone   chan struct{} // closed when it has gone; nil: it stays
}

// reserve returns the client that is parked with the identifier base, or the identifier
// of a new one: base, or base with a number. It waits for one with that identifier to
// go that is about to. allowed says why a new one may not have an identifier.
func (oc *ownClients[C]) reserve(ctx context.Context, base string, allowed func(id string) error) (id string, parked C, err error) {
	var none C
	id = base
	for n := 2; ; {
		oc.mu.Lock()
		e, taken := oc.clients[id]
		switch {
		case oc.ended != nil:
			err = oc.ended
		case e.parked:
			parked = e.client
			e.parked = false
			oc.clients[id] = e
		case !taken:
			if err = allowed(id); err == nil {
				oc.putLocked(id, ownClient[C]{})
			}
		}
		oc.mu.Unlock()
		switch {
		case err != nil || parked != none || !taken:
			return id, parked, err
		case e.gone == nil:
			id = fmt.Sprintf("%s-%d", base, n)
			n++
		default:
			select {
			case <-e.gone:
			case <-ctx.Done():
				return "", none, context.Cause(ctx)
			}
		}
	}
}

func (oc *ownClients[C]) putLocked(id string, e ownClient[C]) {
	if oc.clients == nil {
		oc.clients = make(map[string]ownClient[C])
	}
	oc.clients[id] = e
}

// connected puts a client where reserve has kept its identifier, or gives that up
// because of err. It returns why the client has to end at once.
func (oc *ownClients[C]) connected(id string, client C, end func(error), err error) (ended error) {
	oc.mu.Lock()
	defer oc.mu.Unlock()
	if err != nil || oc.ended != nil {
		delete(oc.clients, id)
	} else {
		oc.putLocked(id, ownClient[C]{client: client, end: end})
	}
	return oc.ended
}

// retire calls goOut, which ends client for good, on a goroutine of its own. With park
// the client is parked instead. If it is not in the list any more nothing happens.
func (oc *ownClients[C]) retire(id string, client C, park bool, goOut func() Stats) {
	oc.mu.Lock()
	defer oc.mu.Unlock()
	e := oc.clients[id]
	if oc.ended != nil || e.client != client {
		return
	}
	if park {
		e.parked = true
		oc.clients[id] = e
		return
	}
	gone := make(chan struct{})
	oc.clients[id] = ownClient[C]{gone: gone}
	oc.closing.Go(func() {
		stats := goOut()
		oc.mu.Lock()
		defer oc.mu.Unlock()
		oc.past.add(stats)
		close(gone)
		delete(oc.clients, id)
	})
}

// haveEnded says that there will be no further ones.
func (oc *ownClients[C]) haveEnded() bool {
	oc.mu.Lock()
	defer oc.mu.Unlock()
	return oc.ended != nil
}

// all returns the clients that live. With err there will be no further ones.
func (oc *ownClients[C]) all(err error) (clients []ownClient[C]) {
	oc.mu.Lock()
	defer oc.mu.Unlock()
	if oc.ended == nil {
		oc.ended = err
	}
	var none C
	for _, e := range oc.clients {
		if e.client != none {
			clients = append(clients, e)
		}
	}
	return clients
}

// endAll ends the clients because of err. The result waits for them.
func (oc *ownClients[C]) endAll(err error) (wait func()) {
	var g errgroup.Group
	for _, e := range oc.all(err) {
		g.Go(func() error {
			e.end(err)
			return nil
		})
	}
	return func() {
		_ = g.Wait()
		oc.closing.Wait()
	}
}
