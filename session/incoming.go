package session

import "github.com/seed65a45251/mqtt/wire"

// incoming is the exchange of one received message.
type incoming struct {
	id         uint16
	qos        wire.QoS
	state      incomingState
	reason     wire.ReasonCode
	late       bool   // came after EndHere
	text       string // reason string
	listed     bool   // is in arrived
	counted    bool   // is counted in Receiver.open
	doubtful   bool   // belongs to a session that the peer may have lost
	recorded   bool   // the identifier has a record, which goes before PUBCOMP
	epoch      uint32 // the last connection that brought the PUBLISH
	digest     Digest // zero: unknown
	keep       *keep  // with a journal, at QoS 2; nil otherwise
	restored   bool   // digest is that of the record; see DigestOf
	generation uint32 // tells tokens of earlier uses from those of this one
	prev, next *incoming
}

// keep is what a journal is told of an exchange. There are many exchanges, and few clients
// have a journal.
type keep struct {
	noted   bool      // the journal knows that the message is acknowledged
	session SessionID // that brought it
	number  uint32    // see ReceivedRecord.Number
	digest  Digest    // see DigestOf
}

type incomingState uint8

const (
	incomingDelivered    incomingState = iota // handed out; not acknowledged by the application
	incomingAcknowledged                      // acknowledged by the application; the answer waits for its turn
	incomingReceived                          // QoS 2: PUBREC sent; waits for PUBREL
	incomingDiscarded                         // PUBREL has come; its record is being removed
	incomingLeft                              // not taken; the peer keeps it and repeats it on a later connection
)

type incomingList struct{ head, tail *incoming }

func (l *incomingList) push(in *incoming) {
	in.listed = true
	in.prev, in.next = l.tail, nil
	if l.tail == nil {
		l.head = in
	} else {
		l.tail.next = in
	}
	l.tail = in
}

func (l *incomingList) remove(in *incoming) {
	if in.prev == nil {
		l.head = in.next
	} else {
		in.prev.next = in.next
	}
	if in.next == nil {
		l.tail = in.prev
	} else {
		in.next.prev = in.prev
	}
	in.listed, in.prev, in.next = false, nil, nil
}

// incomingTable finds exchanges by packet identifier. It is a hash table with linear
// probing, at most half full. Every QoS 1 and 2 message is added and removed once. An
// array would grow with the identifiers, which many peers count up.
type incomingTable struct {
	slots []*incoming // a power of two
	len   int
}

const firstIncomingTable = 16

// home returns where the search for id begins. Neighbouring identifiers are spread,
// because each removal walks to the end of an unbroken row of entries.
func (t *incomingTable) home(id uint16) int {
	return int(uint32(id)*0x9E3779B1>>16) & (len(t.slots) - 1)
}

func (t *incomingTable) get(id uint16) *incoming {
	if t.len == 0 {
		return nil
	}
	return t.slots[t.find(id)]
}

// find returns the slot of id, or the free slot where it would go.
func (t *incomingTable) find(id uint16) int {
	i := t.home(id)
	for t.slots[i] != nil && t.slots[i].id != id {
		i = t.next(i)
	}
	return i
}

func (t *incomingTable) next(i int) int { return (i + 1) & (len(t.slots) - 1) }

// put adds in, whose identifier is not in the table.
func (t *incomingTable) put(in *incoming) {
	if 2*t.len >= len(t.slots) {
		old := t.slots
		t.slots = make([]*incoming, max(firstIncomingTable, 2*len(old)))
		for _, o := range old {
			if o != nil {
				t.slots[t.find(o.id)] = o
			}
		}
	}
	t.slots[t.find(in.id)] = in
	t.len++
}

// remove removes in and moves up the entries that had to go behind it.
func (t *incomingTable) remove(in *incoming) {
	free := t.find(in.id)
	t.len--
	for i := t.next(free); t.slots[i] != nil; i = t.next(i) {
		// An entry may move to free if free is not before its home, seen from i.
		if mask := len(t.slots) - 1; (i-t.home(t.slots[i].id))&mask >= (i-free)&mask {
			t.slots[free] = t.slots[i]
			free = i
		}
	}
	t.slots[free] = nil
}

// all yields every entry. The table must not change meanwhile.
func (t *incomingTable) all(yield func(*incoming) bool) {
	for _, in := range t.slots {
		if in != nil && !yield(in) {
			return
		}
	}
}
