// Package census counts members by owner, an address or a user, and finds the owner
// with most members.
package census

import (
	"net"
	"net/netip"
	"time"

	"github.com/seed65a45251/mqtt/internal/list"
)

// Census holds members by their owner. It is not safe for concurrent use.
type Census[K comparable, V any] struct {
	size   int
	owners map[K]*Owner[K, V]
	levels []list.List[*Owner[K, V]] // by the number of members; owners that reached it first come first
	top    int                       // the highest level with an owner
}

// Member is one member of a census.
type Member[K comparable, V any] struct {
	list.Place[*Member[K, V]]
	owner *Owner[K, V] // nil: the member has left
	Value V
	Since time.Time
}

// Owner holds the members of one address or user, the oldest first.
type Owner[K comparable, V any] struct {
	list.Place[*Owner[K, V]] // in its level
	key                      K
	size                     int
	members                  list.List[*Member[K, V]]
}

// First returns the member that has been there for the longest time.
func (o *Owner[K, V]) First() *Member[K, V] { return o.members.First() }

// Last returns the member that came last.
func (o *Owner[K, V]) Last() *Member[K, V] { return o.members.Last() }

// New returns an empty census.
func New[K comparable, V any]() *Census[K, V] {
	return &Census[K, V]{owners: make(map[K]*Owner[K, V]), levels: make([]list.List[*Owner[K, V]], 1)}
}

// Len returns the number of members.
func (c *Census[K, V]) Len() int { return c.size }

// Count returns the number of members of key.
func (c *Census[K, V]) Count(key K) int {
	if o := c.owners[key]; o != nil {
		return o.size
	}
	return 0
}

// Busiest returns an owner with most members, and their number. The owner is nil if
// the census is empty.
func (c *Census[K, V]) Busiest() (o *Owner[K, V], members int) { return c.levels[c.top].First(), c.top }

// Add adds a member.
func (c *Census[K, V]) Add(key K, value V, now time.Time) *Member[K, V] {
	o := c.owners[key]
	if o == nil {
		o = &Owner[K, V]{key: key}
		c.owners[key] = o
	}
	m := &Member[K, V]{owner: o, Value: value, Since: now}
	o.members.Push(m)
	c.resize(o, 1)
	return m
}

// Remove removes a member. If m is nil or was removed already, it does nothing.
func (c *Census[K, V]) Remove(m *Member[K, V]) {
	if m == nil || m.owner == nil {
		return
	}
	o := m.owner
	o.members.Remove(m)
	m.owner = nil
	c.resize(o, -1)
	if o.size == 0 {
		delete(c.owners, o.key)
	}
}

// resize moves o one level up or down.
func (c *Census[K, V]) resize(o *Owner[K, V], by int) {
	if o.size > 0 {
		c.levels[o.size].Remove(o)
	}
	c.size += by
	o.size += by
	if o.size == len(c.levels) {
		c.levels = append(c.levels, list.List[*Owner[K, V]]{})
	}
	if o.size > 0 {
		c.levels[o.size].Push(o)
	}
	if o.size > c.top || c.levels[c.top].First() == nil {
		c.top = o.size
	}
}

// AddressOf returns the key for an address: the whole address for IPv4, and for IPv6
// the 64-bit network, which is what one customer gets. Connections without an IP
// address, in memory and on Unix sockets, share one key.
func AddressOf(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if !ip.Is6() {
		return ip
	}
	network, err := ip.Prefix(64)
	if err != nil {
		return ip
	}
	return network.Addr()
}
