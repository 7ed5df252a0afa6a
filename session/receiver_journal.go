package session

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// exchangeNumbers counts the finished exchanges of each identifier, for each session.
type exchangeNumbers map[SessionID]map[uint16]uint32

func (n exchangeNumbers) of(s SessionID, id uint16) uint32 { return n[s][id] }

func (n *exchangeNumbers) set(s SessionID, id uint16, number uint32) {
	if *n == nil {
		*n = make(exchangeNumbers)
	}
	if (*n)[s] == nil {
		(*n)[s] = make(map[uint16]uint32)
	}
	(*n)[s][id] = number
}

// noteReceived tells the journal that in is acknowledged. An exchange that is refused
// is not recorded: after a crash its message comes again.
func (r *Receiver) noteReceived(in *incoming) {
	if in.keep == nil || in.keep.noted {
		return
	}
	in.keep.noted = true
	// The message may have come from another session than that of this connection.
	r.journal.Received(in.keep.session, in.record())
}

// noteFinished tells the journal that the exchange of in, which belongs to s, is over.
func (r *Receiver) noteFinished(s SessionID, in *incoming) {
	if in.keep == nil || !in.keep.noted {
		return
	}
	in.keep.noted = false
	r.numbers.set(s, in.id, in.keep.number+1)
	r.journal.Finished(s, in.record())
}

func (in *incoming) record() ReceivedRecord {
	return ReceivedRecord{PacketID: in.id, Number: in.keep.number, Digest: in.keep.digest, Doubtful: in.doubtful}
}

// RestoreReceived restores what an earlier process knew of an identifier of the session
// s. With open the message of r is acknowledged and its exchange is not over;
// otherwise only the number counts, which is that of the next exchange. Call it before
// any connection.
func (r *Receiver) RestoreReceived(s SessionID, in ReceivedRecord, open bool) {
	r.numbers.set(s, in.PacketID, in.Number)
	if !open {
		return
	}
	t := r.tableOf(s)
	if t.get(in.PacketID) == nil {
		t.put(&incoming{id: in.PacketID, qos: wire.ExactlyOnce, state: incomingReceived,
			keep:   &keep{noted: true, session: s, number: in.Number, digest: in.Digest},
			digest: in.Digest, restored: true, doubtful: in.Doubtful})
	}
	r.at.keep(s, *t, r)
}

// tableOf returns a copy of the table of s.
func (r *Receiver) tableOf(s SessionID) *incomingTable {
	if s == r.at.id {
		return new(r.byID)
	}
	return new(r.at.tables[s])
}

// keep sets the table of s.
func (at *elsewhere) keep(s SessionID, t incomingTable, r *Receiver) {
	if s == at.id {
		r.byID = t
		return
	}
	if at.tables == nil {
		at.tables = make(map[SessionID]incomingTable)
	}
	if !slices.Contains(at.order, s) {
		at.order = append(at.order, s)
	}
	at.tables[s] = t
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
