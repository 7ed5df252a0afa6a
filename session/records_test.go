package session

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// recorder is a session with durable messages on a connection that takes three at a
// time.
type recorder struct {
	t        *testing.T
	link     Link
	sender   *Sender
	receiver *Receiver
}

func newRecorder(t *testing.T) *recorder {
	r := &recorder{t: t}
	r.sender, r.receiver = NewSender(&r.link, 3), NewReceiver(&r.link)
	return r
}

func (r *recorder) start() {
	r.link.Close()
	r.link.Open(wire.V5, NoLimits())
	r.receiver.Start(true, 0, 0)
	r.sender.Start(true, time.Time{})
}

func (r *recorder) stop() {
	r.link.Close()
	r.sender.Stop(false)
	r.receiver.Stop()
}

// sent takes the packets that wait to be written.
func (r *recorder) sent() (packets []wire.Packet) {
	r.t.Helper()
	b := r.link.Take(nil)
	d := wire.Decoder{Version: wire.V5}
	for len(b) > 0 {
		h, n, err := wire.ParseHeader(b, wire.V5)
		require.NoError(r.t, err)
		p, err := d.Decode(h, b[n:h.Size])
		require.NoError(r.t, err)
		packets, b = append(packets, p), b[h.Size:]
	}
	return packets
}

func (r *recorder) wantSent(want ...wire.Packet) {
	r.t.Helper()
	require.Equal(r.t, want, r.sent())
}

func durable(qos wire.QoS) *Outgoing {
	return &Outgoing{Publish: wire.Publish{Topic: "a", QoS: qos}, Durable: true}
}

func (r *recorder) submit(qos wire.QoS) *Outgoing {
	o := durable(qos)
	r.sender.Submit(o, time.Time{})
	return o
}

func published(o *Outgoing, again bool) *wire.Publish {
	return &wire.Publish{Topic: "a", QoS: o.Publish.QoS, PacketID: o.Publish.PacketID, Duplicate: again, Payload: []byte{}}
}

func TestADurableMessageWaitsForItsRecord(t *testing.T) {
	r := newRecorder(t)
	r.start()
	one, two := r.submit(1), r.submit(2)
	zero := &Outgoing{Publish: wire.Publish{Topic: "z"}}
	r.sender.Submit(zero, time.Time{})
	r.wantSent()
	require.Equal(t, []*Outgoing{one}, r.sender.Unrecorded(nil), "the others come while it waits")
	require.Empty(t, r.sender.Unrecorded(nil), "each once")
	require.NotZero(t, one.Publish.PacketID)
	require.NoError(t, r.sender.Puback(&wire.Puback{PacketID: one.Publish.PacketID}), "for what was not sent it means nothing")
	require.True(t, one.Queued())
	r.sender.Recorded(one)
	r.sender.Pump(time.Time{})
	r.wantSent(published(one, false))
	require.Equal(t, []*Outgoing{two}, r.sender.Unrecorded(nil))
	r.sender.Recorded(two)
	r.sender.Pump(time.Time{})
	r.wantSent(published(two, false), &wire.Publish{Topic: "z", Payload: []byte{}})

	require.NoError(t, r.sender.Puback(&wire.Puback{PacketID: one.Publish.PacketID}))
	id := two.Publish.PacketID
	require.NoError(t, r.sender.Pubrec(&wire.Pubrec{PacketID: id}))
	require.NoError(t, r.sender.Pubrec(&wire.Pubrec{PacketID: id}))
	r.wantSent()
	require.Equal(t, []*Outgoing{two}, r.sender.Unrecorded(nil))
	require.True(t, two.Released())
	r.sender.Recorded(two)
	r.wantSent(&wire.Pubrel{PacketID: id})
	require.NoError(t, r.sender.Pubcomp(&wire.Pubcomp{PacketID: id}))
	require.Equal(t, []*Outgoing{zero, one, two}, r.sender.Completed(nil))
}

func TestABacklogIsRecordedTogether(t *testing.T) {
	r := newRecorder(t)
	var all []*Outgoing
	for range recordAhead + 10 {
		all = append(all, r.submit(1))
	}
	require.Empty(t, r.sender.Unrecorded(nil), "nobody is there")
	r.start()
	waiting := r.sender.Unrecorded(nil)
	require.Equal(t, all[:recordAhead], waiting)
	ids := map[uint16]bool{}
	for _, o := range waiting {
		ids[o.Publish.PacketID] = true
		r.sender.Recorded(o)
	}
	require.Len(t, ids, recordAhead)
	r.sender.Pump(time.Time{})
	r.wantSent(published(all[0], false), published(all[1], false), published(all[2], false))
}

func TestWhatWaitsForItsRecordCanEndOtherwise(t *testing.T) {
	r := newRecorder(t)
	r.start()
	now := time.Unix(1000, 0)
	old, taken, last := durable(1), durable(2), durable(1)
	old.Expires = new(now)
	for _, o := range []*Outgoing{old, taken, last} {
		r.sender.Submit(o, time.Time{})
	}
	require.Len(t, r.sender.Unrecorded(nil), 1)
	r.sender.Pump(now) // too old
	require.Equal(t, []*Outgoing{old}, r.sender.Completed(nil))
	require.Len(t, r.sender.Unrecorded(nil), 2)
	require.True(t, r.sender.Withdraw(taken))
	for _, o := range []*Outgoing{old, taken} {
		r.sender.Recorded(o)
		require.Zero(t, o.Publish.PacketID)
	}
	r.sender.Pump(now)
	r.wantSent()
	r.sender.Recorded(last)
	r.sender.Pump(now)
	r.wantSent(published(last, false))
	require.NoError(t, r.sender.Puback(&wire.Puback{PacketID: last.Publish.PacketID}))
	require.Zero(t, r.sender.ids.used)
}

func TestAReservedIdentifierNeedsNoFurtherRecord(t *testing.T) {
	r := newRecorder(t)
	early := durable(1)
	require.False(t, r.sender.Reserve(early), "nobody is there")
	r.start()
	behind := durable(1)
	require.False(t, r.sender.Reserve(behind), "it would overtake")
	r.sender.GiveUp(behind)
	r.sender.GiveUp(early)
	reserved := []*Outgoing{durable(1), durable(2), durable(1)}
	for _, o := range reserved {
		require.True(t, r.sender.Reserve(o))
	}
	late := durable(1)
	require.False(t, r.sender.Reserve(late), "more than the peer takes")
	require.NoError(t, r.sender.Puback(&wire.Puback{PacketID: reserved[0].Publish.PacketID}))
	r.sender.GiveUp(reserved[1])
	require.Zero(t, reserved[1].Publish.PacketID)
	for _, o := range []*Outgoing{reserved[0], reserved[2], late} {
		r.sender.Submit(o, time.Time{})
	}
	r.wantSent(published(reserved[0], false), published(reserved[2], false))
	require.Equal(t, []*Outgoing{late}, r.sender.Unrecorded(nil))
	require.Zero(t, r.sender.records.reserved+r.sender.records.awaited)
}

func TestAnUnrecordedPubrecIsNotAnsweredOnTheNextConnectionEither(t *testing.T) {
	r := newRecorder(t)
	r.start()
	o := durable(2)
	require.True(t, r.sender.Reserve(o))
	r.sender.Submit(o, time.Time{})
	r.wantSent(published(o, false))
	require.NoError(t, r.sender.Pubrec(&wire.Pubrec{PacketID: o.Publish.PacketID}))
	r.stop()
	r.start()
	r.wantSent()
	r.sender.Recorded(o)
	r.wantSent(&wire.Pubrel{PacketID: o.Publish.PacketID})
	r.stop()
	r.start()
	r.wantSent(&wire.Pubrel{PacketID: o.Publish.PacketID})
}

func TestARestoredSenderGoesOn(t *testing.T) {
	r := newRecorder(t)
	released, sent, queued := durable(2), durable(1), durable(1)
	released.Publish.PacketID, sent.Publish.PacketID = 40_000, 7
	require.True(t, r.sender.Restore(released, true))
	require.True(t, r.sender.Restore(sent, false))
	require.True(t, r.sender.Restore(queued, false))
	twice := durable(1)
	twice.Publish.PacketID = 7
	require.False(t, r.sender.Restore(twice, false))
	r.start()
	r.wantSent(&wire.Pubrel{PacketID: 40_000}, published(sent, true))
	require.Equal(t, []*Outgoing{queued}, r.sender.Unrecorded(nil))
	r.sender.Recorded(queued)
	r.sender.Pump(time.Time{})
	r.wantSent(published(queued, false))
	require.NotContains(t, []uint16{7, 40_000}, queued.Publish.PacketID)
	require.NoError(t, r.sender.Pubcomp(&wire.Pubcomp{PacketID: 40_000}))
	require.NoError(t, r.sender.Puback(&wire.Puback{PacketID: 7}))
	require.Equal(t, []*Outgoing{released, sent}, r.sender.Completed(nil))
}

func (r *recorder) receive(id uint16, again bool) (bool, Token) {
	r.t.Helper()
	deliver, token, err := r.receiver.Publish(&wire.Publish{Topic: "a", QoS: 2, PacketID: id, Duplicate: again})
	require.NoError(r.t, err)
	return deliver, token
}

func TestPubcompWaitsUntilTheIdentifierIsForgotten(t *testing.T) {
	r := newRecorder(t)
	r.start()
	_, token := r.receive(5, false)
	require.True(t, r.receiver.Remember(token))
	require.NoError(t, r.receiver.Ack(token, wire.Success))
	require.Equal(t, []uint16{5}, slices.Collect(r.receiver.Remembered()))
	r.wantSent(&wire.Pubrec{PacketID: 5})
	require.NoError(t, r.receiver.Pubrel(&wire.Pubrel{PacketID: 5}))
	require.NoError(t, r.receiver.Pubrel(&wire.Pubrel{PacketID: 5}))
	r.wantSent()
	require.Equal(t, []uint16{5}, r.receiver.Discards(nil))
	require.Empty(t, r.receiver.Discards(nil))
	r.receiver.Discarded(5)
	r.receiver.Discarded(5)
	r.wantSent(&wire.Pubcomp{PacketID: 5})
	require.False(t, r.receiver.Remember(token))
	deliver, _ := r.receive(5, false)
	require.True(t, deliver, "a new message")
}

func TestPubcompDoesNotComeUnaskedOnTheNextConnection(t *testing.T) {
	for _, again := range []bool{false, true} {
		r := newRecorder(t)
		r.receiver.Restore(5)
		r.receiver.Restore(5)
		r.start()
		require.NoError(t, r.receiver.Pubrel(&wire.Pubrel{PacketID: 5}))
		require.Equal(t, []uint16{5}, r.receiver.Discards(nil))
		r.stop()
		r.start()
		if again {
			require.NoError(t, r.receiver.Pubrel(&wire.Pubrel{PacketID: 5}))
		}
		r.receiver.Discarded(5)
		if again {
			r.wantSent(&wire.Pubcomp{PacketID: 5})
			continue
		}
		r.wantSent()
		require.NoError(t, r.receiver.Pubrel(&wire.Pubrel{PacketID: 5}))
		r.wantSent(&wire.Pubcomp{PacketID: 5, ReasonCode: wire.PacketIdentifierNotFound})
	}
}

func TestARestoredIdentifierIsNotDeliveredAgain(t *testing.T) {
	r := newRecorder(t)
	r.receiver.Restore(5)
	r.start()
	deliver, _ := r.receive(5, true)
	require.False(t, deliver)
	r.wantSent(&wire.Pubrec{PacketID: 5})
}

func TestADroppedMessageIsNewWhenItComesAgain(t *testing.T) {
	r := newRecorder(t)
	r.start()
	_, token := r.receive(5, false)
	r.receiver.Drop(token)
	r.receiver.Drop(token)
	require.ErrorIs(t, r.receiver.Ack(token, wire.Success), ErrStale)
	r.stop()
	r.start()
	deliver, token := r.receive(5, true)
	require.True(t, deliver)
	require.NoError(t, r.receiver.Ack(token, wire.Success))
	r.wantSent(&wire.Pubrec{PacketID: 5})
}

// The PUBREC of a restored identifier may have to wait for that of a message before it,
// and the connection may end meanwhile.
func TestARestoredIdentifierIsKnownOnEveryConnection(t *testing.T) {
	r := newRecorder(t)
	r.receiver.Restore(5)
	for range 3 {
		r.start()
		_, _ = r.receive(4, true) // not acknowledged
		again, _ := r.receive(5, true)
		require.False(t, again)
		r.wantSent()
		r.stop()
	}
}

// A peer that has lost its session gives identifiers to other messages before the
// exchanges are over.
func TestARecordIsNotLeftBehindByItsExchange(t *testing.T) {
	r := newRecorder(t)
	r.start()
	_, token := r.receive(5, false)
	require.True(t, r.receiver.Remember(token))
	r.stop()
	r.start()
	deliver, token, err := r.receiver.Publish(&wire.Publish{Topic: "c", QoS: 1, PacketID: 5})
	require.NoError(t, err)
	require.True(t, deliver)
	require.Equal(t, []uint16{5}, r.receiver.Discards(nil))
	r.receiver.Discarded(5)
	require.NoError(t, r.receiver.Ack(token, wire.Success))
	r.wantSent(&wire.Puback{PacketID: 5})

	_, token = r.receive(6, false)
	require.True(t, r.receiver.Remember(token))
	require.NoError(t, r.receiver.Ack(token, wire.Success))
	require.NoError(t, r.receiver.Pubrel(&wire.Pubrel{PacketID: 6}))
	r.receiver.Discarded(6)
	require.Equal(t, []uint16{6}, r.receiver.Discards(nil), "once")
}
