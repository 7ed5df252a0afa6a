package session

// idTable gives out packet identifiers and remembers what each stands for.
//
// Identifiers are taken in a circle, so a freed one is not taken again at once. The
// table starts small and doubles when more than half of it is in use. An idle client
// therefore pays little, and the next free identifier is found in a few steps.
type idTable struct {
	messages []*Outgoing // by identifier; nil: free or a request
	requests map[uint16]*Request
	used     int
	waiting  int // requests that wait for an identifier; they get one before messages do
	last     uint16
}

// abandoned stands for a message that was given up although the peer may know its
// identifier.
var abandoned = new(Outgoing)

const (
	firstIDTable = 16
	maxIDTable   = 1 << 16
)

// take returns an identifier that is not in use, or 0 when all 65,535 are.
// [MQTT-2.2.1-3] it is never 0 and never one in use.
func (t *idTable) take() uint16 {
	if t.used >= maxIDTable-1 {
		return 0
	}
	if 2*t.used >= len(t.messages) && len(t.messages) < maxIDTable {
		size := max(firstIDTable, 2*len(t.messages))
		t.messages = append(make([]*Outgoing, 0, size), t.messages...)[:size]
	}
	for {
		t.last++
		if int(t.last) >= len(t.messages) || t.last == 0 {
			t.last = 1
		}
		if t.messages[t.last] == nil && t.requests[t.last] == nil {
			t.used++
			return t.last
		}
	}
}

// takeForMessage is take for a PUBLISH. Waiting requests get identifiers first.
func (t *idTable) takeForMessage() uint16 {
	if t.used+t.waiting >= maxIDTable-1 {
		return 0
	}
	return t.take()
}

func (t *idTable) message(id uint16) *Outgoing {
	if int(id) >= len(t.messages) {
		return nil
	}
	// The peer knows no identifier of a message that is abandoned or not sent yet.
	if o := t.messages[id]; o != nil && o.state >= outgoingPublished {
		return o
	}
	return nil
}

// abandon keeps the identifier of o taken until the session ends.
func (t *idTable) abandon(o *Outgoing) {
	t.messages[o.Publish.PacketID] = abandoned
	o.Publish.PacketID = 0
}

func (t *idTable) freeAbandoned() {
	for id, o := range t.messages {
		if o == abandoned {
			t.messages[id] = nil
			t.used--
		}
	}
}

func (t *idTable) freeMessage(o *Outgoing) {
	t.messages[o.Publish.PacketID] = nil
	t.used--
	o.Publish.PacketID = 0
}

func (t *idTable) setRequest(id uint16, r *Request) {
	if t.requests == nil {
		t.requests = make(map[uint16]*Request)
	}
	t.requests[id] = r
}

func (t *idTable) freeRequest(id uint16) {
	delete(t.requests, id)
	t.used--
}
