package broker

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// sampleRecords returns one record of each kind, with everything that it may have.
func sampleRecords(t testing.TB) []store.Op {
	t.Helper()
	properties := &wire.PublishProperties{
		PayloadFormatUTF8: true, MessageExpiryInterval: new(uint32(30)), ContentType: "t", ResponseTopic: "r",
		CorrelationData: []byte{0, 1}, UserProperties: []wire.UserProperty{{Name: "n", Value: "v"}},
	}
	publish := wire.Publish{Topic: "a/b", Payload: []byte("payload"), QoS: 2, Retain: true, Properties: properties}
	m := &message{publish: publish, expires: time.Unix(4_000_000_000, 5), from: "p"}
	body, err := messageValue(m)
	require.NoError(t, err)
	peer := Peer{ClientID: "c", Username: "u", Version: wire.V5, RemoteAddr: formerAddr{"tcp", "192.0.2.1:5"}}
	state := &sessionState{
		peer: peer, expiry: forever, connected: true, since: time.Unix(4_000_000_000, 0),
		will: &will{message: publish, delay: time.Minute, peer: &peer}, leaving: []*will{{message: publish, peer: &peer}},
	}
	session, err := state.value()
	require.NoError(t, err)
	s := &subscription{whole: "$share/g/a/#", qos: 1, noLocal: true, retainAsPublished: true, id: maximumSubscriptionID, group: &group{}}
	q := queued{qos: 2, retain: true, packetID: 65535, released: 4, ids: []uint32{1, maximumSubscriptionID}}
	return []store.Op{
		{Key: recordKey(clockRecord), Value: clockValue(time.Unix(4_000_000_000, 0))},
		{Key: recordKey(sessionRecord, 3), Value: session},
		{Key: filterKey(3, s.whole), Value: s.value()},
		{Key: recordKey(messageRecord, 9), Value: body},
		{Key: recordKey(queuedRecord, 9, 3, 2), Value: q.value()},
		{Key: identifierKey(3, 7), Value: newRecord(0)},
		{Key: retainedKey("a/b"), Value: body},
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	records := sampleRecords(t)
	state, err := parseSession(records[1].Value)
	require.NoError(t, err)
	require.Equal(t, Peer{ClientID: "c", Username: "u", Version: wire.V5, RemoteAddr: formerAddr{"tcp", "192.0.2.1:5"}}, state.peer)
	require.Equal(t, "192.0.2.1:5", state.peer.RemoteAddr.String())
	require.Equal(t, uint32(forever), state.expiry)
	require.True(t, state.connected && !state.ended)
	require.Equal(t, time.Minute, state.will.delay)
	require.Len(t, state.leaving, 1)
	require.Equal(t, "v", state.will.message.Properties.UserProperties[0].Value)
	s, shared, _, err := parseSubscription(records[2].Value)
	require.NoError(t, err)
	require.True(t, shared)
	require.Equal(t, &subscription{whole: "$share/g/a/#", qos: 1, noLocal: true, retainAsPublished: true, id: maximumSubscriptionID}, s)
	m, err := parseMessage(records[3].Value)
	require.NoError(t, err)
	require.Equal(t, "p", m.from)
	require.True(t, m.expires.Equal(time.Unix(4_000_000_000, 5)))
	require.Equal(t, []byte{0, 1}, m.publish.Properties.CorrelationData)
	require.True(t, m.publish.Retain)
	require.Zero(t, m.publish.PacketID)
	q, err := parseQueued(records[4].Value)
	require.NoError(t, err)
	require.Equal(t, queued{qos: 2, retain: true, packetID: 65535, released: 4, ids: []uint32{1, maximumSubscriptionID}}, q)
}

// A broker that cannot use a record says which, and leaves everything as it is.
func TestDamagedRecordsAreNamed(t *testing.T) {
	for i := range sampleRecords(t) {
		damage := map[string]func(v []byte) []byte{
			"empty":          func([]byte) []byte { return nil },
			"another format": func(v []byte) []byte { return append([]byte{99}, v[1:]...) },
			"longer":         func(v []byte) []byte { return append(v, 0) },
		}
		for n := range len(sampleRecords(t)[i].Value) {
			damage[fmt.Sprint("cut at ", n)] = func(v []byte) []byte { return v[:n] }
		}
		for name, change := range damage {
			records := sampleRecords(t)
			records[i].Value = change(records[i].Value)
			m := store.Memory()
			require.NoError(t, m.Commit(records))
			b, err := Open(Config{Store: m})
			damaged, ok := errors.AsType[*RecordError](err)
			require.True(t, ok, "%q %s: %v", records[i].Key, name, err)
			require.Equal(t, records[i].Key, damaged.Key)
			require.Contains(t, err.Error(), fmt.Sprintf("%q", records[i].Key))
			require.Nil(t, b)
			require.Len(t, slices.Collect(keysOf(m)), len(records))
		}
	}
}

func keysOf(m *store.Mem) func(func(string) bool) {
	return func(yield func(string) bool) {
		for record, err := range m.Scan(nil) {
			if err != nil || !yield(string(record.Key)) {
				return
			}
		}
	}
}

func TestRecordsThatContradictOthersAreRefused(t *testing.T) {
	samples := sampleRecords(t)
	session, filters, queue := samples[1], samples[2], samples[4]
	other := queued{qos: 1}
	same := queued{qos: 1, packetID: 65535}
	for name, extra := range map[string][]store.Op{
		"second session":       {{Key: recordKey(sessionRecord, 4), Value: session.Value}},
		"filter elsewhere":     {{Key: filterKey(3, "x"), Value: filters.Value}},
		"no message":           {{Key: recordKey(queuedRecord, 10, 3, 5), Value: other.value()}},
		"identifier twice":     {{Key: recordKey(queuedRecord, 9, 3, 5), Value: same.value()}},
		"key of another shape": {{Key: append(queue.Key, 0), Value: queue.Value}},
		"topic elsewhere":      {{Key: retainedKey("x"), Value: samples[6].Value}},
	} {
		m := store.Memory()
		require.NoError(t, m.Commit(append(sampleRecords(t), extra...)))
		_, err := Open(Config{Store: m})
		require.ErrorAs(t, err, new(*RecordError), name)
	}
}

func TestALoadThatDoesNotFitIsRefused(t *testing.T) {
	for name, cfg := range map[string]Config{
		"Sessions":               {Sessions: 1},
		"SubscriptionsPerClient": {SubscriptionsPerClient: 1},
		"QueuedMessages":         {QueuedMessages: 1},
		"RetainedMessages":       {RetainedMessages: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := store.Memory()
			b, err := Open(Config{Store: m})
			require.NoError(t, err)
			for _, id := range []string{"a", "b"} {
				s, _ := join(t, b, wire.V5, lasting(wire.V5, id))
				s.subscribe(filter("a", 1), filter("b", 1))
				s.cut()
				require.NoError(t, b.Publish(&wire.Publish{Topic: id, Payload: []byte("x"), QoS: 1, Retain: true}))
			}
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: []byte("x"), QoS: 1}))
			require.NoError(t, b.Close())
			before := slices.Collect(keysOf(m))
			cfg.Store = m
			_, err = Open(cfg)
			require.ErrorContains(t, err, "Config."+name)
			require.Equal(t, before, slices.Collect(keysOf(m)))
			b, err = Open(Config{Store: m})
			require.NoError(t, err)
			require.Equal(t, 2, b.Stats().Sessions)
			require.NoError(t, b.Close())
		})
	}
}

// What nothing refers to is left from a removal that a crash has interrupted.
func TestRemainsAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.Memory()
		samples := sampleRecords(t)
		require.NoError(t, m.Commit(slices.Concat(samples[2:6], []store.Op{{Key: []byte("another's"), Value: []byte("x")}})))
		b, err := Open(Config{Store: m})
		require.NoError(t, err)
		require.Zero(t, b.Stats().Sessions)
		require.NoError(t, b.Close())
		require.Equal(t, []string{"another's"}, slices.Collect(keysOf(m)))
	})
}

func TestNewIsClosedWithAStoreItCanNotRead(t *testing.T) {
	m := store.Memory()
	require.NoError(t, m.Close())
	b := New(Config{Store: m})
	_, err := b.Dial(t.Context())
	require.ErrorIs(t, err, store.ErrClosed)
	_, err = b.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.ErrorIs(t, err, store.ErrClosed)
	_, err = b.Subscribe("a", 0)
	require.ErrorIs(t, err, store.ErrClosed)
	require.ErrorIs(t, b.Publish(message0("a", "")), store.ErrClosed)
	require.NoError(t, b.Close())
}

// FuzzRecords reads any bytes as a record of each kind. What can be read is written
// as it can be read again, and needs no more memory than it has bytes.
func FuzzRecords(f *testing.F) {
	for _, op := range sampleRecords(f) {
		f.Add(op.Value)
	}
	f.Add([]byte{recordFormat, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, value []byte) {
		given := bytes.Clone(value)
		if s, err := parseSession(value); err == nil {
			again, err := s.value()
			require.NoError(t, err)
			_, err = parseSession(again)
			require.NoError(t, err)
		}
		if m, err := parseMessage(value); err == nil {
			require.LessOrEqual(t, len(m.publish.Payload), len(value))
			again, err := messageValue(m)
			require.NoError(t, err)
			_, err = parseMessage(again)
			require.NoError(t, err)
		}
		if q, err := parseQueued(value); err == nil {
			again, err := parseQueued(q.value())
			require.NoError(t, err)
			require.Equal(t, q, again)
		}
		if s, _, _, err := parseSubscription(value); err == nil {
			again, _, _, err := parseSubscription(s.value())
			require.NoError(t, err)
			require.Equal(t, s, again)
		}
		if at, err := parseClock(value); err == nil {
			again, err := parseClock(clockValue(at))
			require.NoError(t, err)
			require.True(t, at.Equal(again))
		}
		require.Equal(t, given, value, "was written to")
	})
}
