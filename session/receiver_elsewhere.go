package session

// elsewhere keeps what the receiver remembers of other sessions, of other servers or under
// other client identifiers. If the client returns to one of them, a message that the server
// repeats is not delivered twice.
type elsewhere struct {
	id     SessionID // the session that the receiver has now
	known  bool      // id is set
	tables map[SessionID]incomingTable
	order  []SessionID // of tables, the one left longest ago first
}

// mostElsewhere bounds how many other sessions are remembered.
const mostElsewhere = 8

// moveTo continues with the session id. What was restored before belongs to the first, unless
// it was restored for another.
func (r *Receiver) moveTo(id SessionID) {
	at := &r.at
	first := !at.known
	if !first && id == at.id {
		return
	}
	r.Stop()
	if r.byID.len > 0 && !first {
		if at.tables == nil {
			at.tables = make(map[SessionID]incomingTable)
		}
		at.tables[at.id] = r.byID
		at.order = append(at.order, at.id)
	}
	if table, there := at.tables[id]; there || !first {
		r.byID = table
	}
	at.forget(id)
	at.id, at.known = id, true
	for len(at.order) > mostElsewhere {
		oldest := at.order[0]
		gone := at.tables[oldest]
		at.forget(oldest)
		for in := range gone.all {
			r.freeExchange(oldest, in)
		}
	}
}

func (at *elsewhere) forget(id SessionID) {
	delete(at.tables, id)
	for i, other := range at.order {
		if other == id {
			at.order = append(at.order[:i], at.order[i+1:]...)
			return
		}
	}
}
