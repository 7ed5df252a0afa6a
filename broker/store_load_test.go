package broker

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/records"
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
	message := records.Message{Publish: publish, Expires: time.Unix(4_000_000_000, 5), From: "p"}
	body, err := message.Value()
	require.NoError(t, err)
	state := &records.Session{
		ClientID: "c", Username: "u", Version: wire.V5, Network: "tcp", Address: "192.0.2.1:5",
		Expiry: forever, Connected: true, Since: time.Unix(4_000_000_000, 0),
		Will: &records.Will{Message: publish, Delay: time.Minute}, Leaving: []records.Will{{Message: publish}},
	}
	session, err := state.Value()
	require.NoError(t, err)
	s := records.Subscription{
		Filter: "$share/g/a/#", QoS: 1, NoLocal: true, RetainAsPublished: true, ID: records.MaximumSubscriptionID, Shared: true,
	}
	q := records.Queued{QoS: 2, Retain: true, PacketID: 65535, Released: 4, IDs: []uint32{1, records.MaximumSubscriptionID}}
	return []store.Op{
		{Key: records.ClockKey(), Value: records.ClockValue(time.Unix(4_000_000_000, 0))},
		{Key: records.SessionKey(3), Value: session},
		{Key: records.SubscriptionKey(3, s.Filter), Value: s.Value()},
		{Key: records.MessageKey(9), Value: body},
		{Key: records.QueuedKey(9, 3, 2), Value: q.Value()},
		{Key: records.IdentifierKey(3, 7), Value: []byte{1}}, // of an earlier version
		{Key: records.RetainedKey("a/b"), Value: body},
	}
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
			samples := sampleRecords(t)
			samples[i].Value = change(samples[i].Value)
			m := store.Memory()
			require.NoError(t, m.Commit(samples))
			b, err := Open(Config{Store: m})
			damaged, ok := errors.AsType[*RecordError](err)
			require.True(t, ok, "%q %s: %v", samples[i].Key, name, err)
			require.Equal(t, samples[i].Key, damaged.Key)
			require.Contains(t, err.Error(), fmt.Sprintf("%q", samples[i].Key))
			require.Nil(t, b)
			require.Len(t, slices.Collect(keysOf(m)), len(samples))
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
	other := records.Queued{QoS: 1}
	same := records.Queued{QoS: 1, PacketID: 65535}
	for name, extra := range map[string][]store.Op{
		"second session":       {{Key: records.SessionKey(4), Value: session.Value}},
		"filter elsewhere":     {{Key: records.SubscriptionKey(3, "x"), Value: filters.Value}},
		"no message":           {{Key: records.QueuedKey(10, 3, 5), Value: other.Value()}},
		"identifier twice":     {{Key: records.QueuedKey(9, 3, 5), Value: same.Value()}},
		"key of another shape": {{Key: append(queue.Key, 0), Value: queue.Value}},
		"topic elsewhere":      {{Key: records.RetainedKey("x"), Value: samples[6].Value}},
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
				s, _ := join(t, b, wire.V5, durableConnect(wire.V5, id))
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
