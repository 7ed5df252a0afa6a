package durable

import (
	"bytes"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// Journal gathers what has to be written, for one client. It is the [session.Journal] of
// its engine. The lock of the engine guards all methods unless they say otherwise.
type Journal struct {
	store  store.Store
	client *session.Client
	header header
	owner  Owner

	changes   []change
	accepted  []*Entry // not yet taken, in order
	appended  uint64   // changes that bytes wait for
	committed uint64   // of them, committed
	running   bool     // a Batch is being committed
	taken     []*Entry // of it
	batch     Batch
	unused    lists

	acceptedBytes, takenBytes int
	lossy                     lossy
	line                      line

	unstored  map[*session.Outgoing]uint16 // identifiers of messages that are not recorded
	abandoned []uint16
	releases  uint64
	written   []byte // the header as it is, or is about to be
	spare     spare
	found     *found // until Attach
	fresh     bool   // the Store was empty

	filters       []wire.SubscribeFilter          // of an earlier process, until KeepSubscriptions
	subscriptions map[string]wire.SubscribeFilter // what is recorded; nil: filters are not
}

// Owner is what owns the messages of a Journal.
type Owner struct {
	// New returns a message with its owner, for one that an earlier process has left.
	New func() *session.Outgoing
	// Reports says whether the owner has to be told of the failure of a message before its
	// record may go: Forget then follows. If nil, it never has.
	Reports func(*session.Outgoing) bool
	// Age limits how long a message may wait to be sent for the first time. Zero means
	// that nothing limits it.
	Age time.Duration
	// AgeAtMostOnce is that of messages at QoS 0.
	AgeAtMostOnce time.Duration
}

// change is one operation. entry is the message that it belongs to; nil: it is a change
// of the session, which must not be lost.
type change struct {
	op    store.Op
	entry *Entry
}

// note adds a change of the session, which bytes wait for.
func (j *Journal) note(op store.Op) {
	j.changes = append(j.changes, change{op: op})
	j.appended++
}

// noteLate adds a change that only says that something is over: nothing waits for it.
func (j *Journal) noteLate(op store.Op) { j.changes = append(j.changes, change{op: op}) }

// Position says how much has to be committed before bytes may be written that are taken
// now.
func (j *Journal) Position() uint64 { return j.appended }

// Committed says how much is committed.
func (j *Journal) Committed() uint64 { return j.committed }

// Identity names the Store in the keys of received messages.
func (j *Journal) Identity() string { return j.header.Identity }

// Exchange implements [session.Journal].
func (j *Journal) Exchange(o *session.Outgoing) {
	id := o.Publish.PacketID
	switch {
	case !o.Durable:
		j.exchangeUnstored(o, id)
	case id == 0:
		// Late: under the old identifier the message would be repeated, and the server
		// has forgotten it or takes it for new. But what is sent next may use the
		// identifier.
		if o.Sent() {
			j.note(put(numberKey(keyExchange, o.Seq()), exchange{}.encode()))
		} else {
			j.note(remove(numberKey(keyExchange, o.Seq())))
		}
	default:
		e := exchange{id: id}
		if o.Released() {
			j.releases++
			e.released, e.doubtful = j.releases, o.Doubtful()
		}
		j.note(put(numberKey(keyExchange, o.Seq()), e.encode()))
	}
}

// exchangeUnstored records the identifier of a message that is not recorded.
func (j *Journal) exchangeUnstored(o *session.Outgoing, id uint16) {
	old, known := j.unstored[o]
	switch {
	case known && old == id:
	case known:
		delete(j.unstored, o)
		j.note(remove(identifierKey(old)))
	case id != 0:
		if j.unstored == nil {
			j.unstored = make(map[*session.Outgoing]uint16)
		}
		j.unstored[o] = id
		j.note(put(identifierKey(id), seal(begin(0))))
	}
}

// End implements [session.Journal].
func (j *Journal) End(o *session.Outgoing) {
	if !o.Durable {
		if id, known := j.unstored[o]; known {
			delete(j.unstored, o)
			if !slices.Contains(j.abandoned, id) {
				j.noteLate(remove(identifierKey(id)))
			}
		}
		return
	}
	j.noteLate(remove(numberKey(keyExchange, o.Seq())))
	if o.Result().Err == nil || j.owner.Reports == nil || !j.owner.Reports(o) {
		j.Forget(o.Seq())
	}
}

// Forget removes the record of a message that is over.
func (j *Journal) Forget(number uint64) { j.noteLate(remove(numberKey(keyMessage, number))) }

// Abandon implements [session.Journal].
func (j *Journal) Abandon(id uint16) {
	j.abandoned = append(j.abandoned, id)
	j.note(put(identifierKey(id), seal(begin(0))))
}

// FreeAbandoned implements [session.Journal].
func (j *Journal) FreeAbandoned() {
	for _, id := range j.abandoned {
		j.note(remove(identifierKey(id)))
	}
	j.abandoned = nil
}

// Received implements [session.Journal].
func (j *Journal) Received(s session.SessionID, in session.ReceivedRecord) {
	j.note(put(receivedKey(s, in.PacketID), encodeReceived(in, true)))
}

// Finished implements [session.Journal]. The record stays for its number.
func (j *Journal) Finished(s session.SessionID, in session.ReceivedRecord) {
	in.Number++
	j.note(put(receivedKey(s, in.PacketID), encodeReceived(in, false)))
}

// Continuity implements [session.Journal].
func (j *Journal) Continuity(r session.ContinuityRecord) {
	j.header.Continuity = r
	if v := j.header.encode(); !bytes.Equal(v, j.written) {
		j.written = v
		j.note(put([]byte(keyHeader), v))
	}
}
