package mqtt

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// target is a server to try.
type target struct {
	server     server
	redirected bool // another server has named it
	withhold   bool // it gets no credentials
}

// serverList is where attempts lead.
type serverList struct {
	own     []server // as configured
	moved   []target // as told by ServerMoved; they come before the others
	once    []target // as told by UseAnotherServer, for the next round only
	last    int      // the index of the server of the last connection; -1: a redirected one
	present referrer // the server of the last connection
	failing bool     // the last connection did not stay up
	hops    int      // redirections followed since the last pause
}

// round returns the servers to try, in order.
func (l *serverList) round(order ServerOrder) []target {
	once := l.once
	l.once = nil
	indexes := l.inOrder(order)
	all := slices.Clone(once)
	for _, t := range l.moved {
		if !slices.Contains(once, t) { // a DISCONNECT with ServerMoved is followed at once
			all = append(all, t)
		}
	}
	for _, i := range indexes {
		all = append(all, target{server: l.own[i]})
	}
	return all
}

// inOrder returns the indexes of the configured servers in order.
func (l *serverList) inOrder(order ServerOrder) []int {
	n := len(l.own)
	indexes := make([]int, n)
	for i := range indexes {
		indexes[i] = i
	}
	switch order {
	case StayWithServer:
		indexes = append(indexes[max(l.last, 0):], indexes[:max(l.last, 0)]...)
	case RandomServer:
		rand.Shuffle(n, func(i, j int) { indexes[i], indexes[j] = indexes[j], indexes[i] })
	}
	if i := slices.Index(indexes, l.last); l.failing && i >= 0 {
		indexes = append(slices.Delete(indexes, i, i+1), l.last)
	}
	return indexes
}

// connected notes the server of a new connection.
func (l *serverList) connected(t target, from referrer) {
	if i := slices.Index(l.own, *from.server); i >= 0 {
		from.server = &l.own[i] // one copy is enough
	}
	l.present, l.failing = from, false
	l.last = -1
	if !t.redirected {
		l.last = slices.Index(l.own, t.server)
	}
}

// knows reports whether host is that of a configured server.
func (l *serverList) knows(host string) bool {
	return slices.ContainsFunc(l.own, func(s server) bool { return strings.EqualFold(s.Host, host) })
}
