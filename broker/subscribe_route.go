package broker

import "github.com/seed65a45251/mqtt/match"

// subscribeLocked makes or replaces a subscription. It returns false for ok if there is
// no space for another one. Called with hub.mu held.
func (h *hub) subscribeLocked(s *subscription, mayShare bool) (ok, isNew bool) {
	cl := s.client
	old := cl.subscriptions[s.whole]
	if old == nil && !h.mayAddLocked(cl, s, mayShare) {
		return false, false
	}
	if old != nil {
		// [MQTT-3.8.4-3] the new subscription replaces the old one under hub.mu, so no
		// message is missed. The walk of the old one continues.
		s.walk, old.walk = old.walk, nil
		h.removeRouteLocked(old)
	}
	h.changes.filterChangesLocked(cl, s.whole)
	h.addRouteLocked(s, mayShare)
	cl.add(s)
	return true, old == nil
}

// mayAddLocked reports whether there is space for another subscription of cl, within
// the limits of the client and of the broker.
func (h *hub) mayAddLocked(cl *client, s *subscription, mayShare bool) bool {
	return cl.mayAdd(s, &h.cfg) && h.mayRouteLocked(cl, s.whole, mayShare) && h.memory.fits(cl.sessionCharge.memory.name, 2*costOf(s))
}

// mayRouteLocked reports whether the shape of the filter is within the limits.
func (h *hub) mayRouteLocked(cl *client, whole string, shared bool) bool {
	filter := whole
	if shared {
		_, filter, _ = match.SplitShared(whole)
	}
	return h.shapes.fits(filter, cl.payerLocked(h.cfg.open()))
}

// addRouteLocked adds s to the routing. Called with hub.mu held.
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

// removeRouteLocked removes s from the routing. Called with hub.mu held.
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
