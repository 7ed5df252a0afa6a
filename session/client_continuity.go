package session

// noteContinuity tells the journal what is known of sessions. A CONNECT that goes out
// counts as not answered before CONNACK has come.
func (c *Client) noteContinuity() {
	j := c.settings.Journal
	if j == nil {
		return
	}
	k := &c.continuity
	r := ContinuityRecord{Generation: k.generation}
	for _, h := range k.known {
		if h.holds {
			r.Held = append(r.Held, h.clientID)
		}
	}
	for _, s := range k.servers {
		open := s == k.current && !k.answered
		r.Sessions = append(r.Sessions, SessionRecord{s.SessionID, s.generation, s.sessions, s.doubt || open, s.unanswered || open, s.inherited, s.eraser})
	}
	j.Continuity(r)
}

// RestoreContinuity restores what an earlier process knew of sessions. Call it before
// any connection.
func (c *Client) RestoreContinuity(r ContinuityRecord) {
	k := &c.continuity
	k.generation, k.servers = r.Generation, nil
	for _, clientID := range r.Held {
		k.hold(clientID, true)
	}
	for _, s := range r.Sessions[:min(len(r.Sessions), mostServers)] {
		doubt := s.Doubt || !s.Eraser.IsZero() // which may have done its work meanwhile
		k.servers = append(k.servers, &sessionAt{SessionID: s.SessionID, generation: s.Generation, sessions: s.Begun, doubt: doubt, unanswered: s.Unanswered,
			inherited: s.Inherited, eraser: s.Eraser})
	}
}

// Session returns which session the client has. Before the first connection it is zero.
func (c *Client) Session() SessionID { return c.Receiver.at.id }

// SessionNumber counts the sessions that have begun as Session, as far as this Client and
// its Journal know.
func (c *Client) SessionNumber() uint64 {
	if c.continuity.current == nil {
		return 0
	}
	return c.continuity.current.sessions
}
