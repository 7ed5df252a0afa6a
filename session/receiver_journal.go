package session

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// exchangeNumbers counts the finished exchanges of each identifier, for each server.
type exchangeNumbers map[string]map[uint16]uint32

func (n exchangeNumbers) of(server string, id uint16) uint32 { return n[server][id] }

func (n *exchangeNumbers) set(server string, id uint16, number uint32) {
	if *n == nil {
		*n = make(exchangeNumbers)
	}
	if (*n)[server] == nil {
		(*n)[server] = make(map[uint16]uint32)
	}
	(*n)[server][id] = number
}

// noteReceived tells the journal that in is acknowledged. An exchange that is refused
// is not recorded: after a crash its message comes again.
func (r *Receiver) noteReceived(in *incoming) {
	if in.keep == nil || in.keep.noted {
		return
	}
	in.keep.noted = true
	// The message may have come from another server than that of this connection.
	r.journal.Received(in.keep.server, in.record())
}

// noteFinished tells the journal that the exchange of in, with the session of server, is
// over.
func (r *Receiver) noteFinished(server string, in *incoming) {
	if in.keep == nil || !in.keep.noted {
		return
	}
	in.keep.noted = false
	r.numbers.set(server, in.id, in.keep.number+1)
	r.journal.Finished(server, in.record())
}

func (in *incoming) record() ReceivedRecord {
	return ReceivedRecord{PacketID: in.id, Number: in.keep.number, Digest: in.keep.digest, Doubtful: in.doubtful}
}

// RestoreReceived restores what an earlier process knew of an identifier of the session
// of server. With open the message of r is acknowledged and its exchange is not over;
// otherwise only the number counts, which is that of the next exchange. Call it before
// any connection.
func (r *Receiver) RestoreReceived(server string, in ReceivedRecord, open bool) {
	r.numbers.set(server, in.PacketID, in.Number)
	if !open {
		return
	}
	t := r.tableOf(server)
	if t.get(in.PacketID) == nil {
		t.put(&incoming{id: in.PacketID, qos: wire.ExactlyOnce, state: incomingReceived,
			keep:   &keep{noted: true, server: server, number: in.Number, digest: in.Digest},
			digest: in.Digest, restored: true, doubtful: in.Doubtful})
	}
	r.at.keep(server, *t, r)
}

// tableOf returns a copy of the table of server.
func (r *Receiver) tableOf(server string) *incomingTable {
	if server == r.at.server {
		return new(r.byID)
	}
	return new(r.at.tables[server])
}

// keep sets the table of server.
func (at *elsewhere) keep(server string, t incomingTable, r *Receiver) {
	if server == at.server {
		r.byID = t
		return
	}
	if at.tables == nil {
		at.tables = make(map[string]incomingTable)
	}
	if !slices.Contains(at.order, server) {
		at.order = append(at.order, server)
	}
	at.tables[server] = t
}

// token returns the Token of the exchange.
func (in *incoming) token() Token {
	t := Token{in: in, generation: in.generation}
	if in.keep != nil {
		t.number = in.keep.number
	}
	return t
}

// Number returns how many exchanges under the packet identifier were finished before
// that of the message. It is 0 without a Journal and at QoS 1.
func (t Token) Number() uint32 { return t.number }
