package broker

import "github.com/seed65a45251/mqtt/match"

// mayRoute reports whether a message may cost what the subscription adds to it.
func (h *hub) mayRoute(cl *client, whole string, shared bool) bool {
	filter := whole
	if shared {
		_, filter, _ = match.SplitShared(whole)
	}
	return h.shapes.room(filter, cl.payer(h.cfg.open()))
}

// subscribe makes or replaces a subscription; Broker.mu is held. It returns false
// when the client has too many.
func (h *hub) subscribe(s *subscription, mayShare bool) (ok, isNew bool) {
	cl := s.client
	old := cl.subscriptions[s.whole]
	if old == nil && !h.mayAdd(cl, s, mayShare) {
		return false, false
	}
	if old != nil {
		// [MQTT-3.8.4-3] the new one takes its place; nobody publishes meanwhile. What is
		// still to be sent for the old one is sent.
		s.walk, old.walk = old.walk, nil
		h.removeSubscription(old)
	}
	h.changes.filterChanges(cl, s.whole)
	h.place(s, mayShare)
	cl.add(s)
	return true, old == nil
}

// mayAdd reports whether there is room for another subscription of cl, in its own limits
// and in those of all.
func (h *hub) mayAdd(cl *client, s *subscription, mayShare bool) bool {
	return cl.mayAdd(s, &h.cfg) && h.mayRoute(cl, s.whole, mayShare) && h.memory.room(cl.stake.memory.name, 2*costOf(s))
}

// place puts s into the routing; Broker.mu is held.
func (h *hub) place(s *subscription, mayShare bool) {
	_, filter, shared := match.SplitShared(s.whole)
	shared = shared && mayShare
	s.filter = s.whole
	if shared {
		s.filter = filter
	}
	if s.local == nil {
		h.shapes.add(s.filter, s.client.payer(h.cfg.open()))
	}
	if isStatus(s.filter) {
		h.status.watchLocked()
	}
	if shared {
		h.join(s)
	} else {
		h.routes.Insert(s.filter, s)
	}
}

// removeSubscription takes s out of the routing; Broker.mu is held.
func (h *hub) removeSubscription(s *subscription) {
	s.walk.end()
	if s.local == nil {
		h.shapes.remove(s.filter)
	}
	if isStatus(s.filter) {
		h.status.unwatchLocked()
	}
	if s.group != nil {
		h.part(s)
		return
	}
	h.routes.Delete(s.filter, s)
}
