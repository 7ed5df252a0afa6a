package session

// elsewhere keeps what the receiver remembers of the sessions of other servers. If
// the client returns to one of them, a message that it repeats is not delivered
// twice.
type elsewhere struct {
	server string // the server whose session the receiver has now
	tables map[string]incomingTable
	order  []string // of tables, the one left longest ago first
}

// mostElsewhere bounds how many sessions of other servers are remembered.
const mostElsewhere = 8

// moveTo continues with the session of server.
func (r *Receiver) moveTo(server string) {
	at := &r.at
	if server == at.server {
		return
	}
	r.Stop()
	if r.byID.len > 0 {
		if at.tables == nil {
			at.tables = make(map[string]incomingTable)
		}
		at.tables[at.server] = r.byID
		at.order = append(at.order, at.server)
	}
	r.byID = at.tables[server]
	at.forget(server)
	at.server = server
	for len(at.order) > mostElsewhere {
		server := at.order[0]
		gone := at.tables[server]
		at.forget(server)
		for in := range gone.all {
			r.freeExchange(server, in)
		}
	}
}

func (at *elsewhere) forget(server string) {
	delete(at.tables, server)
	for i, name := range at.order {
		if name == server {
			at.order = append(at.order[:i], at.order[i+1:]...)
			return
		}
	}
}
