package session

// noteContinuity tells the journal what is known of sessions. A CONNECT that goes out
// counts as not answered before CONNACK has come.
func (c *Client) noteContinuity() {
	j := c.settings.Journal
	if j == nil {
		return
	}
	k := &c.continuity
	r := ContinuityRecord{Held: k.held, Generation: k.generation}
	for _, s := range k.servers {
		open := s == k.current && !k.answered
		r.Servers = append(r.Servers, ServerRecord{s.server, s.generation, s.sessions, s.doubt || open, s.unanswered || open, s.inherited, s.eraser})
	}
	j.Continuity(r)
}

// RestoreContinuity restores what an earlier process knew of sessions. Call it before
// any connection.
func (c *Client) RestoreContinuity(r ContinuityRecord) {
	k := &c.continuity
	k.held, k.generation, k.servers = r.Held || k.held, r.Generation, nil
	for _, s := range r.Servers[:min(len(r.Servers), mostServers)] {
		doubt := s.Doubt || !s.Eraser.IsZero() // which may have done its work meanwhile
		k.servers = append(k.servers, &sessionAt{server: s.Server, generation: s.Generation, sessions: s.Sessions, doubt: doubt, unanswered: s.Unanswered,
			inherited: s.Inherited, eraser: s.Eraser})
	}
}

// SessionServer returns the server whose session the client has, as named in ConnectTo.
func (c *Client) SessionServer() string { return c.Receiver.at.server }

// SessionNumber counts the sessions that have begun at SessionServer, as far as this
// Client and its Journal know.
func (c *Client) SessionNumber() uint64 {
	if c.continuity.current == nil {
		return 0
	}
	return c.continuity.current.sessions
}
