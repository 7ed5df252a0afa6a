package session

import "slices"

// holders are the client identifiers for which a server may hold a session, so that a clean
// start would delete what waits in it.
type holders struct {
	known   []holder // the one that was used longest ago first
	unknown bool     // what is assumed of all others
}

type holder struct {
	clientID string
	holds    bool
}

// mostHolders bounds how many identifiers are remembered.
const mostHolders = 64

// holds reports whether a server may hold a session of clientID.
func (h *holders) holds(clientID string) bool {
	if i := h.find(clientID); i >= 0 {
		return h.known[i].holds
	}
	return h.unknown
}

// last reports whether a server may hold a session of the identifier that was used last.
func (h *holders) last() bool {
	if n := len(h.known); n > 0 {
		return h.known[n-1].holds
	}
	return h.unknown
}

// hold notes whether a server may hold a session of clientID.
func (h *holders) hold(clientID string, holds bool) {
	i := h.find(clientID)
	switch {
	case i >= 0:
		h.known = slices.Delete(h.known, i, i+1)
	case len(h.known) >= mostHolders:
		h.known = slices.Delete(h.known, 0, 1)
	}
	h.known = append(h.known, holder{clientID, holds})
}

func (h *holders) find(clientID string) int {
	return slices.IndexFunc(h.known, func(k holder) bool { return k.clientID == clientID })
}
