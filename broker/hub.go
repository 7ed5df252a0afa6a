package broker

import (
	"sync"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/store"
)

// hub is the state that all clients share. It does not know how they are connected.
//
// Two kinds of locks guard the state: mu for what all clients share, and one lock for
// each client. Code that needs both takes mu first. Neither is held during I/O, a
// channel operation or a hook.
type hub struct {
	cfg          Config
	slowHooks    bool // see Config.mayWait
	counts       statsCounters
	sessionQuota *quota       // of sessions
	memory       *quota       // in bytes, see limits_memory.go
	walks        atomic.Int64 // walks under way
	ruleSet
	life
	hooks hooks

	mu       sync.RWMutex       // guards everything below
	clients  map[string]*client // by client identifier
	created  uint64             // numbers the sessions
	routes   match.Tree[*subscription]
	shapes   shapes
	groups   map[string]*group // shared subscriptions by their whole filter
	retained retained
	sys      sysTopics
	changes  changes

	persistence *persistence // set once
	committed   router       // sends what was committed; used by the journal's goroutine only
	identifiers identifiers

	// The connections.
	doors    doors
	connects *quota // of bytes, see intake
	packets  *quota
}

func (h *hub) begin(cfg Config) {
	h.cfg = cfg
	h.slowHooks = h.cfg.mayWait()
	h.life.begin()
	h.hooks = hooks{cfg: &h.cfg, counts: &h.counts, ctx: h.ctx, breakOff: h.breakOff}
	h.sessionQuota, h.memory = newQuota(h.cfg.Sessions), newQuota(h.cfg.Memory)
	h.clients, h.groups = make(map[string]*client), make(map[string]*group)
	h.changes.hub = h
	h.retained = newRetained(h.memory, h.changes.retainedChangedLocked)
	h.watch(h.cfg.Authorizers)
	h.persistence = h.newPersistence(h.cfg.Store)
	h.identifiers = newIdentifiers()
	h.shapes = newShapes()
	h.doors = newDoors(h.cfg.Connections)
	h.connects = newQuota(connectsMaximum)
	h.packets = newQuota(max(packetsMaximum*h.cfg.MaximumPacketSize, packetsMinimum))
}

func (h *hub) newPersistence(s store.Store) *persistence {
	return newPersistence(s, &h.hooks, storeFollows{
		begin: h.changes.begin, end: h.changes.end, concluded: h.committed.flush, needed: h.needsClock,
	})
}

// needsClock reports whether a session in the store has a connection.
func (h *hub) needsClock() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, cl := range h.clients {
		if cl.durable.Load() && cl.online.Load() {
			return true
		}
	}
	return false
}

// wakeAfterCommit wakes the writer of c when the committed tasks have been concluded.
// Only tasks that are being concluded call it.
func (h *hub) wakeAfterCommit(c connection) { h.committed.dirty = append(h.committed.dirty, c) }

// nextNumberLocked returns the number of a new session.
func (h *hub) nextNumberLocked() uint64 {
	h.created++
	return h.created
}

// isConnected reports whether the client has a connection.
func (h *hub) isConnected(id string) bool {
	cl := h.client(id)
	return cl != nil && cl.online.Load()
}

// client returns the session of a client identifier, nil if there is none.
func (h *hub) client(id string) *client {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.clients[id]
}
