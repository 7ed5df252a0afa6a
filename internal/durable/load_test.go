package durable

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// attached returns a Journal on s, with its engine.
func attached(t testing.TB, s store.Store) (*Journal, *session.Client) {
	j, err := Open(s, "c1")
	require.NoError(t, err)
	c := session.NewClient(session.ClientSettings{Journal: j})
	j.Attach(c, Owner{New: func() *session.Outgoing { return new(session.Outgoing) }})
	j.KeepSubscriptions(true)
	return j, c
}

// commit writes what j has gathered.
func commit(t testing.TB, j *Journal, s store.Store) {
	for b := j.Take(); b != nil; b = j.Take() {
		b.Commit(s)
		require.NoError(t, j.Settle(b, time.Time{}))
	}
}

// filled returns a Store with records of every kind but those that are set aside: 20
// messages, of which 5 have an exchange, 3 filters, 4 received messages, and an identifier
// without a message.
func filled(t testing.TB) *store.Mem {
	s := store.Memory()
	j, c := attached(t, s)
	for i := range 20 {
		o := new(session.Outgoing)
		o.Publish = wire.Publish{Topic: fmt.Sprint("t/", i), Payload: []byte{byte(i)}, QoS: wire.QoS(1 + i%2)}
		record, err := EncodeMessage(&o.Publish, time.Time{}, time.Unix(1, 0))
		require.NoError(t, err)
		j.Accept(&Entry{Out: o}, record, time.Time{})
	}
	commit(t, j, s)
	for i, o := range c.Sender.Incomplete(nil)[:5] {
		o.Publish.PacketID = uint16(i + 1)
		j.Exchange(o)
	}
	for id := range uint16(4) {
		j.Received(session.SessionID{ClientID: "c1"}, session.ReceivedRecord{PacketID: id + 1, Number: 7, Digest: session.Digest{Content: 1}})
	}
	for _, filter := range []string{"a", "b/#", "c/+"} {
		j.Subscribed(wire.SubscribeFilter{Filter: filter, QoS: 2, NoLocal: true})
	}
	j.Abandon(99)
	j.Continuity(session.ContinuityRecord{Held: []string{"c1"}, Generation: 3, Sessions: []session.SessionRecord{{SessionID: session.SessionID{ClientID: "c1"}, Generation: 3}}})
	commit(t, j, s)
	return s
}

// unfinished returns how many exchanges c remembers of the session that it resumes.
func unfinished(t testing.TB, c *session.Client) int {
	require.NoError(t, c.Connect(wire.V5, &wire.Connect{ClientID: "c1", SessionExpiryInterval: 60}, time.Time{}))
	b, err := (&wire.Connack{SessionPresent: true}).Append(nil, wire.V5)
	require.NoError(t, err)
	h, n, err := wire.ParseHeader(b, wire.V5)
	require.NoError(t, err)
	require.NoError(t, c.Handle(h, b[n:], time.Time{}))
	return c.Receiver.Unfinished()
}

func records(t testing.TB, s store.Store) (list []store.Record) {
	for r, err := range s.Scan(nil) {
		require.NoError(t, err)
		list = append(list, store.Record{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)})
	}
	return list
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	s := filled(t)
	j, c := attached(t, s)
	require.Zero(t, j.Damaged())
	require.Equal(t, 5, c.Sender.Inflight()-1, "and the identifier without a message")
	queued, _ := c.Sender.Queued()
	require.Equal(t, 15, queued)
	require.Equal(t, 4, unfinished(t, c))
	require.Len(t, j.subscriptions, 3)
	require.True(t, c.HasSessionOf("c1"))
	var payloads []byte
	for _, o := range c.Sender.Incomplete(nil) {
		payloads = append(payloads, o.Publish.Payload...)
	}
	require.Equal(t, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}, payloads)
}

// TestADamagedRecordCostsNoOther damages each byte of each record in turn. What the record
// said is lost, which is reported, and nothing else is.
func TestADamagedRecordCostsNoOther(t *testing.T) {
	good := records(t, filled(t))
	for _, damaged := range good {
		if string(damaged.Key[:2]) == keySpare {
			continue
		}
		for at := 0; at < len(damaged.Value); at += 1 + len(damaged.Value)/16 {
			s := store.Memory()
			for _, r := range good {
				v := bytes.Clone(r.Value)
				if bytes.Equal(r.Key, damaged.Key) {
					v[at] ^= 0x10
				}
				require.NoError(t, s.Commit([]store.Op{{Key: r.Key, Value: v}}))
			}
			j, c := attached(t, s)
			require.Equal(t, 1, j.Damaged(), "%q byte %d", damaged.Key, at)
			lost := map[string]int{}
			lost[string(damaged.Key[:2])] = 1
			require.Equal(t, 4-lost[keyReceived], unfinished(t, c))
			require.Len(t, j.subscriptions, 3-lost[keySubscription])
			messages := 0
			for _, o := range c.Sender.Incomplete(nil) {
				if o.Publish.Topic != "" {
					messages++
				}
			}
			require.Equal(t, 20-lost[keyMessage], messages)
			_, err := Open(s, "c1")
			require.NoError(t, err)
			aside := 0
			for _, r := range records(t, s) {
				if string(r.Key[:2]) == keySetAside {
					aside++
				}
			}
			require.Equal(t, 1, aside)
		}
	}
}

func TestARecordOfALaterReleaseIsRefused(t *testing.T) {
	for _, r := range records(t, filled(t)) {
		if string(r.Key[:2]) == keySpare {
			continue
		}
		s := filled(t)
		v := sealAs(layout+1, bytes.Clone(r.Value))
		require.NoError(t, s.Commit([]store.Op{{Key: r.Key, Value: v}}))
		_, err := Open(s, "c1")
		require.ErrorIs(t, err, ErrNewer, "%q", r.Key)
	}
}

func TestAStoreOfAnotherClientIsRefused(t *testing.T) {
	_, err := Open(filled(t), "c2")
	require.ErrorIs(t, err, ErrOtherClient)
}

// FuzzRecords opens Stores with records of any bytes.
func FuzzRecords(f *testing.F) {
	for _, r := range records(f, filled(f)) {
		f.Add(r.Key, r.Value, false)
		f.Add(r.Key, r.Value[min(len(r.Value), sealed):], true)
	}
	f.Fuzz(func(t *testing.T, key, value []byte, sealIt bool) {
		if len(key) == 0 || len(key) > store.MaxKey {
			return
		}
		if sealIt {
			value = seal(append(begin(len(value)), value...))
		}
		s := filled(t)
		require.NoError(t, s.Commit([]store.Op{{Key: key, Value: value}}))
		j, err := Open(s, "c1")
		if err != nil {
			return
		}
		c := session.NewClient(session.ClientSettings{Journal: j})
		j.Attach(c, Owner{New: func() *session.Outgoing { return new(session.Outgoing) }})
		j.KeepSubscriptions(true)
		again := j.Take()
		if again != nil {
			again.Commit(s)
			require.NoError(t, j.Settle(again, time.Time{}))
		}
		_, err = Open(s, "c1")
		require.NoError(t, err)
	})
}
