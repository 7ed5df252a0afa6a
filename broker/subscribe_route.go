package broker

import "github.com/seed65a45251/mqtt/match"

// subscribeLocked makes or replaces a subscription. Called with hub.mu held. It returns
// false when the client has too many.
func (h *hub) subscribeLocked(s *subscription, mayShare bool) (ok, isNew bool) {
	cl := s.client
	old := cl.subscriptions[s.whole]
	if old == nil && !h.mayAddLocked(cl, s, mayShare) {
		return false, false
	}
	if old != nil {
		// [MQTT-3.8.4-3] the new one takes its place; nobody publishes meanwhile. What is
		// still to be sent for the old one is sent.
		s.walk, old.walk = old.walk, nil
		h.removeRouteLocked(old)
	}
	h.changes.filterChangesLocked(cl, s.whole)
	h.addRouteLocked(s, mayShare)
	cl.add(s)
	return true, old == nil
}

// mayAddLocked reports whether there is space for another subscription of cl, in its
// own limits and in those of all.
func (h *hub) mayAddLocked(cl *client, s *subscription, mayShare bool) bool {
	return cl.mayAdd(s, &h.cfg) && h.mayRouteLocked(cl, s.whole, mayShare) && h.memory.fits(cl.sessionCharge.memory.name, 2*costOf(s))
}

// mayRouteLocked reports whether a message may cost what the subscription adds to it.
func (h *hub) mayRouteLocked(cl *client, whole string, shared bool) bool {
	filter := whole
	if shared {
		_, filter, _ = match.SplitShared(whole)
	}
	return h.shapes.fits(filter, cl.payerLocked(h.cfg.open()))
}

// addRouteLocked puts s into the routing. Called with hub.mu held.
func (h *hub) addRouteLocked(s *subscription, mayShare bool) {
	_, filter, shared := match.SplitShared(s.whole)
	shared = shared && mayShare
	s.filter = s.whole
	if shared {
		s.filter = filter
	}
	if s.local == nil {
		h.shapes.add(s.filter, s.client.payerLocked(h.cfg.open()))
	}
	if isStatus(s.filter) {
		h.sys.watchLocked()
	}
	if shared {
		h.joinGroupLocked(s)
	} else {
		h.routes.Insert(s.filter, s)
	}
}

// removeRouteLocked takes s out of the routing. Called with hub.mu held.
func (h *hub) removeRouteLocked(s *subscription) {
	s.walk.endLocked()
	if s.local == nil {
		h.shapes.remove(s.filter)
	}
	if isStatus(s.filter) {
		h.sys.unwatchLocked()
	}
	if s.group != nil {
		h.leaveGroupLocked(s)
		return
	}
	h.routes.Delete(s.filter, s)
}
