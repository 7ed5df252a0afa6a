package records

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func samplePublish() wire.Publish {
	return wire.Publish{Topic: "a/b", Payload: []byte("payload"), QoS: 2, Retain: true, Properties: &wire.PublishProperties{
		PayloadFormatUTF8: true, MessageExpiryInterval: new(uint32(30)), ContentType: "t", ResponseTopic: "r",
		CorrelationData: []byte{0, 1}, UserProperties: []wire.UserProperty{{Name: "n", Value: "v"}},
	}}
}

func sampleMessage() Message {
	return Message{Publish: samplePublish(), Expires: time.Unix(4_000_000_000, 5), From: "p"}
}

func sampleSession() *Session {
	return &Session{
		ClientID: "c", Username: "u", Version: wire.V5, Network: "tcp", Address: "192.0.2.1:5",
		Principal: Principal{Name: "u", Known: true},
		Expiry:    math.MaxUint32, Connected: true, Since: time.Unix(4_000_000_000, 0),
		Will: &Will{Message: samplePublish(), Delay: time.Minute}, Leaving: []Will{{Message: samplePublish()}},
	}
}

func sampleSubscription() Subscription {
	return Subscription{Filter: "$share/g/a/#", QoS: 1, NoLocal: true, RetainAsPublished: true, ID: MaximumSubscriptionID, Shared: true}
}

func sampleQueued() Queued {
	return Queued{QoS: 2, Retain: true, PacketID: 65535, Released: 4, IDs: []uint32{1, MaximumSubscriptionID}}
}

// sampleValues returns one record of each kind of value.
func sampleValues(t testing.TB) map[string][]byte {
	t.Helper()
	message := sampleMessage()
	body, err := message.Value()
	require.NoError(t, err)
	session, err := sampleSession().Value()
	require.NoError(t, err)
	subscription, queued := sampleSubscription(), sampleQueued()
	return map[string][]byte{
		"clock": ClockValue(time.Unix(4_000_000_000, 0)), "session": session, "subscription": subscription.Value(),
		"message": body, "queued": queued.Value(), "identifier": Identifier{1, 2}.Value(), "old identifier": newWriter(0),
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	values := sampleValues(t)
	s, err := ParseSession(values["session"])
	require.NoError(t, err)
	require.Equal(t, sampleSession(), s)
	subscription, err := ParseSubscription(values["subscription"])
	require.NoError(t, err)
	require.Equal(t, sampleSubscription(), subscription)
	m, err := ParseMessage(values["message"])
	require.NoError(t, err)
	require.Equal(t, "p", m.From)
	require.True(t, m.Expires.Equal(time.Unix(4_000_000_000, 5)))
	require.Equal(t, []byte{0, 1}, m.Publish.Properties.CorrelationData)
	require.True(t, m.Publish.Retain)
	require.Zero(t, m.Publish.PacketID)
	q, err := ParseQueued(values["queued"])
	require.NoError(t, err)
	require.Equal(t, sampleQueued(), q)
	i, err := ParseIdentifier(values["identifier"])
	require.NoError(t, err)
	require.Equal(t, Identifier{1, 2}, i)
}

func TestAnIdentifierOfAnEarlierVersionHasNoDigest(t *testing.T) {
	i, err := ParseIdentifier(newWriter(0))
	require.NoError(t, err)
	require.Zero(t, i)
	_, err = ParseIdentifier([]byte{digestFormat + 1})
	require.ErrorIs(t, err, ErrFormat)
}

func TestKeysComeBackAsTheyWere(t *testing.T) {
	for kind, test := range map[Kind]struct {
		key  []byte
		want Key
	}{
		ClockKind:        {ClockKey(), Key{}},
		SessionKind:      {SessionKey(3), Key{Session: 3}},
		SubscriptionKind: {SubscriptionKey(3, "a"), Key{Session: 3}},
		MessageKind:      {MessageKey(9), Key{Message: 9}},
		QueuedKind:       {QueuedKey(9, 3, 2), Key{Message: 9, Session: 3, Place: 2}},
		IdentifierKind:   {IdentifierKey(3, 7), Key{Session: 3, PacketID: 7}},
		RetainedKind:     {RetainedKey("a"), Key{}},
	} {
		require.True(t, bytes.HasPrefix(test.key, kind.Prefix()))
		parsed, err := kind.Parse(test.key)
		require.NoError(t, err)
		require.Equal(t, test.want, parsed)
		for _, wrong := range [][]byte{test.key[:len(test.key)-1], append(test.key, 0)} {
			_, err := kind.Parse(wrong)
			require.ErrorIs(t, err, ErrDamaged)
		}
	}
}

// No prefix of a record is one, and neither is a longer one or another format.
func TestDamagedRecordsAreRefused(t *testing.T) {
	parse := map[string]func([]byte) error{
		"clock":        func(v []byte) error { _, err := ParseClock(v); return err },
		"session":      func(v []byte) error { _, err := ParseSession(v); return err },
		"subscription": func(v []byte) error { _, err := ParseSubscription(v); return err },
		"message":      func(v []byte) error { _, err := ParseMessage(v); return err },
		"queued":       func(v []byte) error { _, err := ParseQueued(v); return err },
		"identifier":   func(v []byte) error { _, err := ParseIdentifier(v); return err },
	}
	for name, value := range sampleValues(t) {
		f := parse[name]
		if f == nil {
			continue
		}
		require.NoError(t, f(value))
		for n := range len(value) {
			require.Error(t, f(value[:n]), fmt.Sprint(name, " cut at ", n))
		}
		require.Error(t, f(append(bytes.Clone(value), 0)), name)
		require.ErrorIs(t, f(append([]byte{99}, value[1:]...)), ErrFormat, name)
	}
}

// FuzzRecords reads any bytes as a record of each kind. What can be read is written
// as it can be read again, and needs no more memory than it has bytes.
func FuzzRecords(f *testing.F) {
	for _, value := range sampleValues(f) {
		f.Add(value)
	}
	f.Add([]byte{firstFormat, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, value []byte) {
		given := bytes.Clone(value)
		if s, err := ParseSession(value); err == nil {
			again, err := s.Value()
			require.NoError(t, err)
			_, err = ParseSession(again)
			require.NoError(t, err)
		}
		if m, err := ParseMessage(value); err == nil {
			require.LessOrEqual(t, len(m.Publish.Payload), len(value))
			again, err := m.Value()
			require.NoError(t, err)
			_, err = ParseMessage(again)
			require.NoError(t, err)
		}
		if q, err := ParseQueued(value); err == nil {
			again, err := ParseQueued(q.Value())
			require.NoError(t, err)
			require.Equal(t, q, again)
		}
		if s, err := ParseSubscription(value); err == nil {
			again, err := ParseSubscription(s.Value())
			require.NoError(t, err)
			require.Equal(t, s, again)
		}
		if at, err := ParseClock(value); err == nil {
			again, err := ParseClock(ClockValue(at))
			require.NoError(t, err)
			require.True(t, at.Equal(again))
		}
		require.Equal(t, given, value, "was written to")
	})
}
