package broker

import (
	"sync"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/store"
)

// hub is what all clients share. It knows nothing of how they are connected.
//
// Two kinds of locks guard the state: mu for what all clients share, and one for each
// client. Whoever needs both takes mu first. Neither is held during I/O, a channel
// operation or a hook.
type hub struct {
	cfg       Config
	slowHooks bool // see Config.mayWait
	counts    counters
	hooks     hooks
	places    *quota       // of sessions
	memory    *quota       // in bytes, see limits_memory.go
	walks     atomic.Int64 // that are under way
	authority
	life

	mu       sync.RWMutex       // guards everything below
	clients  map[string]*client // by client identifier
	created  uint64             // clients so far
	routes   match.Tree[*subscription]
	shapes   shapes
	groups   map[string]*group // shared subscriptions by their whole filter
	retained retained
	status   status
	changes  changes

	persistence *persistence // set once
	committed   router       // what commits have sent; of the goroutine of the journal
	identifiers identifiers

	// Of the connections.
	doors    doors
	connects *quota // of bytes, see intake
	packets  *quota
}

func (b *hub) begin(cfg Config) {
	b.cfg = cfg
	b.slowHooks = b.cfg.mayWait()
	b.life.begin()
	b.hooks = hooks{cfg: &b.cfg, counts: &b.counts, ctx: b.ctx, breakOff: b.breakOff}
	b.places, b.memory = newQuota(b.cfg.Sessions), newQuota(b.cfg.Memory)
	b.clients, b.groups = make(map[string]*client), make(map[string]*group)
	b.changes.b = b
	b.retained = newRetained(b.memory, b.changes.retainedChanged)
	b.consists(b.cfg.Authorizers)
	b.persistence = b.newPersistence(b.cfg.Store)
	b.identifiers = newIdentifiers()
	b.shapes = newShapes()
	b.doors = newDoors(b.cfg.Connections)
	b.connects = newQuota(connectsMaximum)
	b.packets = newQuota(max(packetsMaximum*b.cfg.MaximumPacketSize, packetsMinimum))
}

func (b *hub) newPersistence(s store.Store) *persistence {
	return newPersistence(s, &b.hooks, storeFollows{
		begin: b.changes.begin, end: b.changes.end, concluded: b.committed.flush, needed: b.needsClock,
	})
}

// needsClock reports whether a session in the store has a connection.
func (b *hub) needsClock() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, cl := range b.clients {
		if cl.durable.Load() && cl.online.Load() {
			return true
		}
	}
	return false
}

// rouse wakes the writer of c when the tasks that are committed have gone on. It is
// for what they do.
func (b *hub) rouse(c connection) { b.committed.dirty = append(b.committed.dirty, c) }

// nextNumberLocked returns the number of a session.
func (b *hub) nextNumberLocked() uint64 {
	b.created++
	return b.created
}

// isConnected reports whether the client has a connection.
func (b *hub) isConnected(id string) bool {
	cl := b.client(id)
	return cl != nil && cl.online.Load()
}

// client returns the session of a client identifier, nil if there is none.
func (b *hub) client(id string) *client {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.clients[id]
}
