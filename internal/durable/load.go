package durable

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// found is what an earlier process has left.
type found struct {
	exchanges map[uint64]exchange
	exchanged uint64      // the largest number of them
	open      []recovered // messages with an exchange
	waiting   []recovered // the first that have none
	unstored  []uint16
	received  []received
	damaged   []store.Record
	last      uint64 // the largest number
}

type recovered struct {
	number   uint64
	exchange exchange
	sent     bool // it has or had an exchange
	message  message
}

type received struct {
	hash   string
	record session.ReceivedRecord
	open   bool
}

// Open reads what an earlier process of clientID has left in s. Attach has to follow.
// Records that cannot be read are set aside: see [Journal.Damaged].
func Open(s store.Store, clientID string) (*Journal, error) {
	j := &Journal{store: s, found: &found{exchanges: make(map[uint64]exchange)}}
	for _, read := range []func(string) error{j.readHeader, j.readExchanges, j.readUnstored, j.readReceived, j.readSubscriptions, j.readSpare, j.readMessages} {
		if err := read(clientID); err != nil {
			return nil, err
		}
	}
	return j, j.prepare(clientID)
}

// each calls f for every record of one kind. A record for which f returns errDamaged is
// set aside.
func (j *Journal) each(kind string, f func(key, value []byte) error) error {
	for r, err := range j.store.Scan([]byte(kind)) {
		if err == nil {
			err = f(r.Key, r.Value)
		}
		if errors.Is(err, errDamaged) {
			j.found.damaged = append(j.found.damaged, store.Record{Key: slices.Clone(r.Key), Value: slices.Clone(r.Value)})
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) readHeader(clientID string) error {
	return j.each(keyHeader, func(_, v []byte) (err error) {
		j.header, err = decodeHeader(v, clientID)
		if err == nil {
			j.written = slices.Clone(v)
		}
		return err
	})
}

func (j *Journal) readExchanges(string) error {
	return j.each(keyExchange, func(k, v []byte) error {
		e, err := decodeExchange(v)
		number, ok := numberOf(k)
		if err == nil && !ok {
			err = errDamaged
		}
		if err != nil {
			return err
		}
		j.found.exchanges[number] = e
		j.found.exchanged = max(j.found.exchanged, number)
		j.releases = max(j.releases, e.released)
		return nil
	})
}

func (j *Journal) readUnstored(string) error {
	return j.each(keyUnstored, func(k, v []byte) error {
		if _, err := unseal(v); err != nil {
			return err
		}
		if len(k) != len(keyUnstored)+2 {
			return errDamaged
		}
		j.found.unstored = append(j.found.unstored, uint16(k[2])<<8|uint16(k[3]))
		return nil
	})
}

func (j *Journal) readReceived(string) error {
	return j.each(keyReceived, func(k, v []byte) error {
		hash, in, open, err := decodeReceived(k, v)
		if err == nil {
			j.found.received = append(j.found.received, received{hash, in, open})
		}
		return err
	})
}

func (j *Journal) readSpare(string) error {
	return j.each(keySpare, func(_, _ []byte) error {
		j.spare.held++
		return nil
	})
}

// readMessages reads all messages and keeps those that the engine gets at once.
func (j *Journal) readMessages(string) error {
	f, bytes := j.found, 0
	var counted, kept wire.Decoder
	err := j.each(keyMessage, func(k, v []byte) error {
		counted.Recycle() // of most messages no more than the size is of use
		m, err := decodeMessage(&counted, v)
		number, ok := numberOf(k)
		if err == nil && !ok {
			err = errDamaged
		}
		if err != nil {
			return err
		}
		f.last = max(f.last, number)
		e, sent := f.exchanges[number]
		open := e.id != 0
		size := m.publish.Cost()
		switch {
		case open || number < f.exchanged: // it goes before others that the engine has
		case j.line.messages > 0 || len(f.waiting) >= WindowMessages || bytes > windowBytes:
			j.line.add(number, size)
			j.awaitDue(number, &m)
			return nil
		default:
			bytes += size
		}
		m, _ = decodeMessage(&kept, slices.Clone(v))
		if r := (recovered{number, e, sent, m}); open {
			f.open = append(f.open, r)
		} else {
			f.waiting = append(f.waiting, r)
		}
		return nil
	})
	return err
}

// prepare writes the header of a new Store, the spare records, and what is set aside.
func (j *Journal) prepare(clientID string) error {
	j.fresh = j.header.Identity == ""
	if j.fresh {
		j.header = newHeader(clientID)
		// What is there belongs to a session of which nothing else is known.
		if j.found.last > 0 || len(j.found.received) > 0 {
			j.header.Continuity.Held = []string{clientID}
		}
		j.written = j.header.encode()
	}
	if j.identifiersLost() {
		for i := range j.header.Continuity.Sessions {
			j.header.Continuity.Sessions[i].Inherited = true
		}
		j.written = j.header.encode()
	}
	ops := []store.Op{put([]byte(keyHeader), j.written)}
	for _, r := range j.found.damaged {
		ops = append(ops, asideOps(r)...)
	}
	there := make(map[uint64]bool)
	for _, r := range slices.Concat(j.found.open, j.found.waiting) {
		there[r.number] = true
	}
	for number, e := range j.found.exchanges {
		if !there[number] { // its message cannot be read
			ops = append(ops, remove(numberKey(keyExchange, number)))
			if e.id == 0 {
				continue
			}
			ops = append(ops, put(identifierKey(e.id), seal(begin(0))))
			j.found.unstored = append(j.found.unstored, e.id)
		}
	}
	if j.fresh || len(ops) > 1 {
		if err := j.store.Commit(ops); err != nil {
			return fmt.Errorf("write the header: %w", err)
		}
	}
	if ops := j.spare.all(); len(ops) > 0 && j.store.Commit(ops) == nil {
		j.spare.held = spareRecords
	}
	return nil
}

// identifiersLost reports whether a damaged record had a packet identifier in use. A server
// may hold it, and would take a later message under it for a repeat.
func (j *Journal) identifiersLost() bool {
	return slices.ContainsFunc(j.found.damaged, func(r store.Record) bool {
		return bytes.HasPrefix(r.Key, []byte(keyExchange)) || bytes.HasPrefix(r.Key, []byte(keyUnstored))
	})
}

// asideOps move a record out of the way.
func asideOps(r store.Record) []store.Op {
	key := append([]byte(keySetAside), r.Key...)
	return []store.Op{remove(r.Key), put(key[:min(len(key), store.MaxKey)], r.Value)}
}

// setAside moves a record out of the way that is found damaged later.
func (j *Journal) setAside(r store.Record) {
	for _, op := range asideOps(r) {
		j.noteLate(op)
	}
}

// Damaged returns how many records could not be read. They are in the Store, set aside.
func (j *Journal) Damaged() int { return len(j.found.damaged) }

// Fresh reports whether the Store knew nothing of any session: no process that used it has
// connected yet.
func (j *Journal) Fresh() bool {
	k := &j.header.Continuity
	return j.fresh || len(k.Held) == 0 && len(k.Sessions) == 0
}

// Attach gives c what an earlier process has left.
func (j *Journal) Attach(c *session.Client, owner Owner) {
	f := j.found
	j.client, j.owner = c, owner
	c.RestoreContinuity(j.header.Continuity)
	j.restoreReceived()
	for _, id := range f.unstored {
		j.restoreUnstored(id)
	}
	slices.SortFunc(f.open, func(a, b recovered) int {
		return cmp.Or(cmp.Compare(a.exchange.released, b.exchange.released), cmp.Compare(a.number, b.number))
	})
	for _, r := range f.open {
		j.restore(r)
	}
	for _, r := range f.waiting {
		j.restore(r)
	}
	c.Sender.SetLastSeq(max(f.last, j.line.last))
	damaged := f.damaged
	j.found = &found{damaged: damaged}
}

func (j *Journal) restoreReceived() {
	// Where the header was damaged, one session is known all the same.
	only := session.SessionID{ClientID: j.header.ClientID}
	names := map[string]session.SessionID{string(SessionHash(only)): only}
	for _, s := range j.header.Continuity.Sessions {
		names[string(SessionHash(s.SessionID))] = s.SessionID
	}
	for _, r := range j.found.received {
		if of, ok := names[r.hash]; ok {
			j.client.Receiver.RestoreReceived(of, r.record, r.open)
		}
	}
}

// restoreUnstored releases an identifier whose message is not recorded.
func (j *Journal) restoreUnstored(id uint16) {
	o := new(session.Outgoing)
	if !j.client.Sender.ContinueIdentifier(o, id) {
		return
	}
	if j.unstored == nil {
		j.unstored = make(map[*session.Outgoing]uint16)
	}
	j.unstored[o] = id
}

func (j *Journal) restore(r recovered) {
	o := j.owner.New()
	o.Publish, o.Expires, o.Durable = r.message.publish, session.ExpiresAt(r.message.expires), true
	o.Publish.PacketID, o.Publish.Duplicate = r.exchange.id, r.sent && r.exchange.id == 0
	if !j.client.Sender.Continue(o, r.number, r.exchange.released > 0, r.exchange.doubtful) {
		o.Publish.PacketID, o.Publish.Duplicate = 0, true // another message has it: this one starts anew
		j.client.Sender.Continue(o, r.number, false, false)
		j.note(remove(numberKey(keyExchange, r.number)))
	}
	j.limitWait(o, r.message.accepted)
}
