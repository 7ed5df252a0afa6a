package broker

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/census"
)

// boundRequests bounds the HTTP connections that have not become WebSockets. Beyond
// limit it closes one of them.
func boundRequests(limit int, refused *atomic.Uint64) func(net.Conn, http.ConnState) {
	var mu sync.Mutex
	waiting := census.New[netip.Addr, net.Conn]()
	members := make(map[net.Conn]*census.Member[netip.Addr, net.Conn])
	return func(nc net.Conn, state http.ConnState) {
		var out net.Conn
		mu.Lock()
		switch state {
		case http.StateNew:
			now, addr := time.Now(), census.AddressOf(nc.RemoteAddr())
			space := true
			if waiting.Len() >= limit {
				loser := longestSilent(waiting, addr, now, true)
				if space = loser != nil; space {
					waiting.Remove(loser)
					out = loser.Value
				} else {
					out = nc
				}
				refused.Add(1)
			}
			if space {
				members[nc] = waiting.Add(addr, nc, now)
			}
		case http.StateHijacked, http.StateClosed:
			waiting.Remove(members[nc])
			delete(members, nc)
		}
		mu.Unlock()
		if out != nil {
			out.Close()
		}
	}
}
