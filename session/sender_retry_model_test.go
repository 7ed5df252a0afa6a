package session

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// refusing is a client with messages of a few topics, a server that refuses some of them for
// now, and a disk that outlives the process of the client. What the client writes is
// compared with the rules, which know nothing of how it keeps them:
//
//   - no PUBLISH goes out while an earlier message of its topic is not completed, unless
//     that one went out before on the same connection and has no answer yet, or the server
//     has it, or it was refused on this connection while the PUBLISH was to be repeated;
//   - a message that was refused goes out alone: nothing later of its topic has gone out on
//     the connection without an answer;
//   - when nothing moves, only topics with a refused message wait, and when the server takes
//     everything again, everything is delivered, at QoS 2 once.
type refusing struct {
	rng  *rand.Rand
	c    *Client
	now  time.Time
	disk disk
	log  []string

	up       bool
	messages []*tried // in the order of Submit
	held     map[uint16]int
	toServer []wire.Packet // that it has not got yet
	answers  []wire.Packet // of the server, not read yet
	calm     bool          // the server takes everything
	session  bool
	forgot   bool // the server lost a session, and with it what it knew of QoS 2
	fault    error
	refused  int
	crashes  int
}

// tried is one message.
type tried struct {
	number   int
	topic    string
	qos      wire.QoS
	durable  bool
	expires  time.Time
	out      *Outgoing // of the present process; nil: it was lost with an earlier one
	id       uint16    // under which it went out on this connection and has no answer; 0: none
	arrived  bool      // PUBREC has come
	waits    bool      // it was refused, and was not sent again since
	here     bool      // on this connection
	known    bool      // the present process knows that it was refused
	accepted int       // by the server
	ended    bool
}

// disk is what a later process finds. It implements Journal.
type disk struct {
	records    map[uint64]*diskRecord
	taken      map[*Outgoing]uint16
	continuity ContinuityRecord
	released   int
}

type diskRecord struct {
	id       uint16
	released int
	sent     bool
	m        *tried
}

func (d *disk) Exchange(o *Outgoing) {
	r := d.records[o.Seq()]
	if !o.Durable {
		delete(d.taken, o)
		if o.Publish.PacketID != 0 {
			d.taken[o] = o.Publish.PacketID
		}
		return
	}
	r.id, r.released, r.sent = o.Publish.PacketID, 0, o.Sent()
	if r.id != 0 && o.Released() {
		d.released++
		r.released = d.released
	}
}

func (d *disk) End(o *Outgoing) {
	delete(d.taken, o)
	delete(d.records, o.Seq())
}
func (d *disk) Abandon(uint16)                     {}
func (d *disk) FreeAbandoned()                     {}
func (*disk) Subscribed(wire.SubscribeFilter)      {}
func (*disk) Unsubscribed(string)                  {}
func (d *disk) Received(SessionID, ReceivedRecord) {}
func (d *disk) Finished(SessionID, ReceivedRecord) {}
func (d *disk) Continuity(r ContinuityRecord)      { d.continuity = r }

func (w *refusing) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *refusing) fail(format string, args ...any) {
	if w.fault == nil {
		w.fault = fmt.Errorf(format, args...)
	}
}

func (w *refusing) newClient() {
	w.c = NewClient(ClientSettings{Retry: quotaRetry, Journal: &w.disk, Inflight: 1 + w.rng.IntN(6)})
	w.c.Sender.SetLastSeq(uint64(len(w.messages)))
}

func (w *refusing) publish() {
	m := &tried{
		number: len(w.messages), topic: string(rune('a' + w.rng.IntN(3))), qos: wire.QoS(1 + w.rng.IntN(2)), durable: w.rng.IntN(3) > 0,
	}
	if w.rng.IntN(10) == 0 {
		m.expires = w.now.Add(time.Duration(1+w.rng.IntN(20)) * time.Second)
	}
	w.messages = append(w.messages, m)
	w.note("publish %d on %s at QoS %d", m.number, m.topic, m.qos)
	o := w.outgoing(m)
	o.Durable = m.durable
	w.c.Sender.ReserveNumber(o, m.durable && w.rng.IntN(2) == 0)
	if m.durable {
		w.disk.records[o.Seq()] = &diskRecord{id: o.Publish.PacketID, m: m}
	}
	w.c.Sender.Submit(o, w.now)
	w.harvest()
}

func (w *refusing) outgoing(m *tried) *Outgoing {
	m.out = &Outgoing{Owner: m, Expires: ExpiresAt(m.expires)}
	m.out.Publish = wire.Publish{Topic: m.topic, QoS: m.qos, Payload: fmt.Append(nil, m.number)}
	return m.out
}

// crash ends the process. The next one finds the disk.
func (w *refusing) crash() {
	w.note("--- crash")
	w.crashes++
	w.lost()
	var open, waiting []*diskRecord
	for _, r := range w.disk.records {
		if r.id == 0 {
			waiting = append(waiting, r)
		} else {
			open = append(open, r)
		}
	}
	order := func(a, b *diskRecord) int {
		return cmp.Or(cmp.Compare(a.released, b.released), cmp.Compare(a.m.number, b.m.number))
	}
	slices.SortFunc(open, order)
	slices.SortFunc(waiting, order)
	for _, m := range w.messages {
		m.ended = m.ended || !m.durable // forgotten
		m.out, m.waits, m.known = nil, false, false
	}
	taken := w.disk.taken
	w.disk.taken = make(map[*Outgoing]uint16)
	w.newClient()
	w.c.RestoreContinuity(w.disk.continuity)
	for _, id := range taken {
		o := new(Outgoing)
		if w.c.Sender.ContinueIdentifier(o, id) {
			w.disk.taken[o] = id
		}
	}
	for _, r := range append(open, waiting...) {
		o := w.outgoing(r.m)
		o.Durable, o.Publish.PacketID = true, r.id
		o.Publish.Duplicate = r.id == 0 && r.sent
		if !w.c.Sender.Continue(o, uint64(r.m.number+1), r.released > 0, false) {
			w.fail("%d cannot be restored under identifier %d", r.m.number, r.id)
		}
	}
}

func (w *refusing) connect(forget bool) {
	if w.up {
		return
	}
	if forget {
		w.forgot = w.forgot || w.session
		w.session, w.held = false, map[uint16]int{}
	}
	w.note("--- connect, session %t", w.session)
	p := keeping(wire.V5)
	if err := w.c.Connect(wire.V5, p, w.now); err != nil {
		w.fail("connect: %w", err)
		return
	}
	for w.c.Pending() > 0 {
		w.c.Take(nil, w.now)
		w.c.Wrote(w.now)
	}
	w.up, w.toServer = true, nil
	w.read(&wire.Connack{SessionPresent: w.session, ReceiveMaximum: uint16(1 + w.rng.IntN(8))})
	w.session = true
}

func (w *refusing) lose() {
	if w.up {
		w.note("--- lost")
		w.c.Lost(false)
		w.lost()
		w.harvest()
	}
}

// lost is what the end of a connection does to what is under way.
func (w *refusing) lost() {
	w.write(w.rng.IntN(4))
	w.up, w.toServer, w.answers = false, nil, nil
	for _, m := range w.messages {
		m.id, m.here = 0, false
	}
}

func (w *refusing) read(p wire.Packet) {
	b, err := p.Append(nil, wire.V5)
	if err == nil {
		err = feed(w.c, wire.V5, b, w.now)
	}
	if err != nil {
		w.fail("client: %w", err)
	}
	w.harvest()
}

func (w *refusing) harvest() {
	for _, o := range w.c.Sender.Completed(nil) {
		m := o.Owner.(*tried)
		err := o.Result().Err
		w.note("%d ends: %v", m.number, err)
		m.ended, m.waits, m.id = true, false, 0
		switch {
		case err == nil && m.accepted == 0:
			w.fail("%d was not accepted", m.number)
		case errors.Is(err, wire.QuotaExceeded) && !errors.Is(err, ErrExpired):
			w.fail("%d ended because of a refusal for now", m.number)
		case m.accepted > 0 && !o.Sent():
			w.fail("%d was accepted and claims that it was not sent", m.number)
		}
	}
	w.collect()
	if err := invariants(w.c); err != nil {
		w.fail("invariants: %w", err)
	}
}

// collect takes what the client writes.
func (w *refusing) collect() {
	for w.up && w.c.Pending() > 0 {
		b := w.c.Take(nil, w.now)
		w.c.Wrote(w.now)
		d := wire.Decoder{From: wire.FromClient, Version: wire.V5}
		for len(b) > 0 {
			h, n, err := wire.ParseHeader(b, wire.V5)
			if err != nil {
				w.fail("header: %w", err)
				return
			}
			p, err := d.Decode(h, b[n:h.Size])
			if err != nil {
				w.fail("decode: %w", err)
				return
			}
			b = b[h.Size:]
			if p, ok := p.(*wire.Publish); ok {
				m := w.message(p)
				w.note("C %d goes out as %d, DUP %t", m.number, p.PacketID, p.Duplicate)
				w.checkOrder(m, p.Duplicate)
				m.id, m.waits = p.PacketID, false
			}
			w.toServer = append(w.toServer, p)
		}
	}
}

func (w *refusing) message(p *wire.Publish) *tried {
	var number int
	if _, err := fmt.Sscan(string(p.Payload), &number); err != nil {
		w.fail("payload: %w", err)
	}
	return w.messages[number]
}

// write lets the server get the next packets.
func (w *refusing) write(n int) {
	for ; n > 0 && len(w.toServer) > 0; n-- {
		p := w.toServer[0]
		w.toServer = w.toServer[1:]
		switch p := p.(type) {
		case *wire.Publish:
			w.takePublish(p)
		case *wire.Pubrel:
			delete(w.held, p.PacketID)
			w.answers = append(w.answers, &wire.Pubcomp{PacketID: p.PacketID})
		default:
			w.fail("unexpected %v", p.Type())
		}
	}
}

func (w *refusing) takePublish(p *wire.Publish) {
	m := w.message(p)
	number := m.number
	code := wire.Success
	switch x := w.rng.IntN(10); {
	case w.calm:
	case x < 4:
		code = wire.QuotaExceeded
	case x < 5:
		code = wire.NotAuthorized
	}
	if held, known := w.held[p.PacketID]; m.qos == wire.ExactlyOnce && known {
		code = wire.Success
		if held != number {
			w.fail("%d came under the identifier of %d", number, held)
		}
	} else if code == wire.Success {
		if m.accepted++; m.accepted > 1 && m.qos == wire.ExactlyOnce && !w.forgot {
			w.fail("%d was accepted twice", number)
		}
		if m.qos == wire.ExactlyOnce {
			w.held[p.PacketID] = number
		}
	}
	if m.qos == wire.AtLeastOnce {
		w.answers = append(w.answers, &wire.Puback{PacketID: p.PacketID, ReasonCode: code})
	} else {
		w.answers = append(w.answers, &wire.Pubrec{PacketID: p.PacketID, ReasonCode: code})
	}
}

// checkOrder checks that m may go out now, as a repeat or not.
func (w *refusing) checkOrder(m *tried, repeat bool) {
	for _, other := range w.messages {
		switch {
		case other == m || other.topic != m.topic || other.ended || other.out == nil:
		case repeat && slices.ContainsFunc(w.messages, func(first *tried) bool {
			return first.waits && first.here && first.topic == m.topic && first.number <= other.number
		}):
			// Repeats keep their order. This one was under way when the other, or what the
			// other waits for, was refused.
		case other.number < m.number && other.id == 0 && !other.arrived:
			w.fail("%d goes out and passes %d, which is not under way", m.number, other.number)
		case other.number > m.number && other.id != 0:
			w.fail("%d goes out while %d is under way", m.number, other.number)
		}
	}
}

// answer lets the client read the next answers.
func (w *refusing) answer(n int) {
	for ; n > 0 && w.up && len(w.answers) > 0 && w.fault == nil; n-- {
		p := w.answers[0]
		w.answers = w.answers[1:]
		var id uint16
		code := wire.Success
		switch p := p.(type) {
		case *wire.Puback:
			id, code = p.PacketID, p.ReasonCode
		case *wire.Pubrec:
			id, code = p.PacketID, p.ReasonCode
		}
		for _, m := range w.messages {
			if id == 0 || m.id != id {
				continue
			}
			m.id = 0
			m.waits = code == wire.QuotaExceeded
			m.here = m.waits
			m.known = m.known || m.waits
			m.arrived = !code.Failed()
			if m.waits {
				w.refused++
			}
		}
		w.note("S %s", describe(p))
		w.read(p)
	}
}

func (w *refusing) step() {
	if !w.up && w.rng.IntN(3) == 0 {
		w.connect(w.rng.IntN(8) == 0)
	}
	switch w.rng.IntN(12) {
	case 0, 1, 2:
		w.publish()
	case 3, 4:
		w.write(1 + w.rng.IntN(3))
	case 5, 6, 7:
		w.write(1000)
		w.answer(1 + w.rng.IntN(3))
	case 8:
		w.exchange()
		w.quiet()
	case 9:
		w.now = w.now.Add(time.Duration(w.rng.IntN(3000)) * time.Millisecond)
		w.tick()
	case 10:
		if w.rng.IntN(4) == 0 {
			w.lose()
		}
	case 11:
		if w.rng.IntN(8) == 0 {
			w.crash()
		}
	}
	w.harvest()
}

func (w *refusing) tick() {
	if at := w.c.Deadline(); !at.IsZero() && !w.now.Before(at) {
		if err := w.c.Tick(w.now); err != nil {
			w.fail("tick: %w", err)
		}
		if at := w.c.Sender.Deadline(); !at.IsZero() && !w.now.Before(at) {
			w.fail("the deadline stays in the past")
		}
	}
	w.harvest()
}

// exchange lets everything arrive until nothing moves.
func (w *refusing) exchange() {
	for w.fault == nil && len(w.toServer)+len(w.answers) > 0 {
		w.write(1000)
		w.answer(1000)
	}
}

// quiet checks, when nothing moves, that what waits does so behind a refused message.
func (w *refusing) quiet() {
	if !w.up || w.fault != nil {
		return
	}
	for _, m := range w.messages {
		if m.ended || m.out == nil || !m.out.Queued() {
			continue
		}
		behind := func(first *tried) bool {
			return first.known && !first.ended && first.topic == m.topic && first.number <= m.number
		}
		if !slices.ContainsFunc(w.messages, behind) {
			w.fail("%d waits for nothing", m.number)
		}
	}
	if w.c.Sender.Holding() != w.c.Sender.Stuck() {
		w.fail("holding is %t and stuck is %t", w.c.Sender.Holding(), w.c.Sender.Stuck())
	}
}

// converge lets the server take everything.
func (w *refusing) converge() error {
	w.calm = true
	for range 200 {
		if w.fault != nil {
			return w.fault
		}
		w.connect(false)
		w.exchange()
		w.quiet()
		if at := w.c.Deadline(); at.After(w.now) {
			w.now = at
		}
		w.tick()
	}
	for _, m := range w.messages {
		if !m.ended {
			w.fail("%d is not over", m.number)
		}
	}
	if w.c.Sender.Holding() || len(w.disk.records) > 0 || w.c.Sender.ids.used > 0 {
		w.fail("left over: %d records, %d identifiers", len(w.disk.records), w.c.Sender.ids.used)
	}
	return w.fault
}

func playRefusals(seed uint64) (*refusing, error) {
	w := &refusing{rng: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1_000_000, 0), held: map[uint16]int{}}
	w.disk = disk{records: map[uint64]*diskRecord{}, taken: map[*Outgoing]uint16{}}
	w.newClient()
	for range 30 + w.rng.IntN(150) {
		if w.fault == nil {
			w.step()
		}
	}
	return w, w.converge()
}

func TestRefusedMessagesKeepTheOrderOfTheirTopics(t *testing.T) {
	refused, crashes := 0, 0
	for seed := uint64(1); seed <= uint64(*modelSeeds); seed++ {
		w, err := playRefusals(seed)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(w.log, "\n"))
		}
		refused += w.refused
		crashes += w.crashes
	}
	require.Greater(t, refused, *modelSeeds)
	require.Greater(t, crashes, *modelSeeds/4)
}
