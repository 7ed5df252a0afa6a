package session_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// sent says what waits to be written.
func sent(link *session.Link) (types []wire.PacketType) {
	for b := link.Take(nil); len(b) > 0; {
		h, _, err := wire.ParseHeader(b, wire.V5)
		if err != nil {
			panic(err)
		}
		types, b = append(types, h.Type), b[h.Size:]
	}
	return types
}

// A QoS 2 message waits for its records twice: for the packet identifier before
// PUBLISH, and for PUBREC before PUBREL.
func ExampleSender_Unrecorded() {
	var link session.Link
	s := session.NewSender(&link, 0)
	link.Open(wire.V5, session.NoLimits())
	s.Start(true, time.Now())

	records := map[*session.Outgoing]string{} // on a disk
	record := func() {
		for _, o := range s.Unrecorded(nil) {
			records[o] = fmt.Sprint(o.Publish.PacketID, " ", o.Released())
			fmt.Println("record:", records[o])
			s.Recorded(o)
		}
		s.Pump(time.Now())
	}
	s.Submit(&session.Outgoing{Publish: wire.Publish{Topic: "a", QoS: wire.ExactlyOnce}, Durable: true}, time.Now())
	fmt.Println(sent(&link))
	record()
	fmt.Println(sent(&link))
	if err := s.Pubrec(&wire.Pubrec{PacketID: 1}); err != nil {
		panic(err)
	}
	fmt.Println(sent(&link))
	record()
	fmt.Println(sent(&link))
	// Output:
	// []
	// record: 1 false
	// [PUBLISH]
	// []
	// record: 1 true
	// [PUBREL]
}

// A message that can be sent at once gets its identifier before it is stored, so
// that one record has both.
func ExampleSender_Reserve() {
	var link session.Link
	s := session.NewSender(&link, 0)
	link.Open(wire.V5, session.NoLimits())
	s.Start(true, time.Now())
	kept := &session.Outgoing{Publish: wire.Publish{Topic: "a", QoS: wire.AtLeastOnce}, Durable: true}
	lost := &session.Outgoing{Publish: wire.Publish{Topic: "b", QoS: wire.AtLeastOnce}, Durable: true}
	fmt.Println(s.Reserve(kept), kept.Publish.PacketID)
	fmt.Println(s.Reserve(lost), lost.Publish.PacketID)
	// The first can be stored, the second not:
	s.Submit(kept, time.Now())
	s.GiveUp(lost)
	fmt.Println(sent(&link), len(s.Unrecorded(nil)))
	// Output:
	// true 1
	// true 2
	// [PUBLISH] 0
}

// A Sender of a new process goes on where the records of an earlier one end.
func ExampleSender_Restore() {
	var link session.Link
	s := session.NewSender(&link, 0)
	s.Restore(&session.Outgoing{Publish: wire.Publish{Topic: "a", QoS: wire.ExactlyOnce, PacketID: 7}}, true)
	s.Restore(&session.Outgoing{Publish: wire.Publish{Topic: "b", QoS: wire.AtLeastOnce, PacketID: 8}}, false)
	link.Open(wire.V5, session.NoLimits())
	s.Start(true, time.Now())
	fmt.Println(sent(&link))
	// Output: [PUBREL PUBLISH]
}

// The identifier of a QoS 2 message is recorded before PUBREC, and the record is
// removed before PUBCOMP.
func ExampleReceiver_Remember() {
	var link session.Link
	r := session.NewReceiver(&link)
	link.Open(wire.V5, session.NoLimits())
	r.Start(true, 0, 0)
	records := map[uint16]bool{} // on a disk
	_, token, err := r.Publish(&wire.Publish{Topic: "a", QoS: wire.ExactlyOnce, PacketID: 5})
	if err != nil {
		panic(err)
	}
	records[5] = true
	r.Remember(token)
	if err := r.Ack(token, wire.Success); err != nil {
		panic(err)
	}
	fmt.Println(sent(&link), slices.Collect(r.Remembered()))
	if err := r.Pubrel(&wire.Pubrel{PacketID: 5}); err != nil {
		panic(err)
	}
	fmt.Println(sent(&link))
	for _, id := range r.Discards(nil) {
		delete(records, id)
		r.Discarded(id)
	}
	fmt.Println(sent(&link), len(records))
	// Output:
	// [PUBREC] [5]
	// []
	// [PUBCOMP] 0
}

// What an earlier process had recorded is not delivered again. What could not be
// recorded is dropped, and a new message when it is sent again.
func ExampleReceiver_Restore() {
	var link session.Link
	r := session.NewReceiver(&link)
	r.Restore(5)
	link.Open(wire.V5, session.NoLimits())
	r.Start(true, 0, 0)
	known, _, _ := r.Publish(&wire.Publish{Topic: "a", QoS: wire.ExactlyOnce, PacketID: 5, Duplicate: true})
	first, token, _ := r.Publish(&wire.Publish{Topic: "b", QoS: wire.ExactlyOnce, PacketID: 6})
	r.Drop(token)
	again, _, _ := r.Publish(&wire.Publish{Topic: "b", QoS: wire.ExactlyOnce, PacketID: 6, Duplicate: true})
	fmt.Println(known, first, again)
	// Output: false true true
}

// With the digest of its message, an identifier that an earlier process had recorded
// tells a repeat from another message of a peer that has begun anew.
func ExampleReceiver_RestoreDigest() {
	var link session.Link
	r := session.NewReceiver(&link)
	old := &wire.Publish{Topic: "a", Payload: []byte("old"), QoS: wire.ExactlyOnce, PacketID: 5}
	r.RestoreDigest(5, session.DigestOf(old, wire.V5))
	link.Open(wire.V5, session.NoLimits())
	r.Start(true, 0, 0)
	again, _, _ := r.Publish(old)
	fmt.Println(again)
	link.Close()
	link.Open(wire.V5, session.NoLimits())
	r.Start(true, 0, 0)
	fresh, _, _ := r.Publish(&wire.Publish{Topic: "a", Payload: []byte("new"), QoS: wire.ExactlyOnce, PacketID: 5})
	fmt.Println(fresh)
	// Output:
	// false
	// true
}

// Whoever ends a session decides first what becomes of its messages.
func ExampleSender_Incomplete() {
	var link session.Link
	s := session.NewSender(&link, 1)
	link.Open(wire.V5, session.NoLimits())
	s.Start(true, time.Time{})
	for _, topic := range []string{"a", "b"} {
		s.Submit(&session.Outgoing{Publish: wire.Publish{Topic: topic, QoS: wire.AtLeastOnce}}, time.Time{})
	}
	for _, o := range s.Incomplete(nil) {
		fmt.Println(o.Publish.Topic, "sent:", o.Sent())
	}
	s.Fail(session.ErrSessionEnded)
	// Output:
	// a sent: true
	// b sent: false
}
