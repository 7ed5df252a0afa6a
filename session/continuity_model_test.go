package session

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

var (
	travelSeeds = flag.Int("travel.seeds", 4000, "how many random journeys between servers are played")
	travelSeed  = flag.Uint64("travel.seed", 0, "the one journey to play and log")
)

// inn is a server that a client may come to: what it keeps of the client, and what it
// has passed on. Within a session it goes by packet identifiers alone, as the
// specification has it.
type inn struct {
	name   string
	client string            // the identifier under which it is visited
	exists bool              // the session
	held   map[uint16]string // QoS 2, between PUBLISH and PUBREL
	saved  map[uint16]string // of an older save; nil: there is none
	late   bool              // passes messages on with PUBREL, as Mosquitto does
	silent bool              // answers PUBREL for an unknown identifier with success
	got    map[string]int
	// restored says that it went back to a save. Then it has to compare contents, as
	// Mosquitto and our broker do: nothing tells a client that identifiers are taken again.
	restored bool
}

// traveller is a client that goes from one server to another, and dies now and then.
type traveller struct {
	rng     *rand.Rand
	v       wire.Version
	c       *Client
	now     time.Time
	inns    []*inn
	at      *inn // nil: no connection
	toSend  []wire.Packet
	in      []byte
	n       int
	open    map[*Outgoing]string
	exposed map[string]bool // was open when a session was not continued for certain
	exempt  map[string]bool // was open when a server went back to an older save
	done    map[string]bool // completed with success
	log     []string

	unproven, processes int
}

func newTraveller(seed uint64) *traveller {
	rng := rand.New(rand.NewPCG(seed, 3))
	w := &traveller{rng: rng, v: []wire.Version{wire.V311, wire.V5}[rng.IntN(2)], now: time.Unix(1, 0),
		exposed: map[string]bool{}, exempt: map[string]bool{}, done: map[string]bool{}}
	for i := range 1 + rng.IntN(3) {
		name, client := whereabouts(rng, i)
		w.inns = append(w.inns, &inn{name: name, client: client, late: rng.IntN(2) == 0, silent: rng.IntN(2) == 0,
			held: map[uint16]string{}, got: map[string]int{}})
	}
	if rng.IntN(3) == 0 { // a session that an earlier process has left
		w.inns[0].exists = true
		for range rng.IntN(20) {
			w.inns[0].held[uint16(1+rng.IntN(20))] = "earlier"
		}
	}
	w.process()
	return w
}

func (w *traveller) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

// process begins the next life of the client, which knows nothing of the last.
func (w *traveller) process() {
	w.note("=== process")
	w.processes++
	w.at = nil
	w.c = NewClient(ClientSettings{HasSession: true, Inflight: 1 + w.rng.IntN(12)})
	w.open = map[*Outgoing]string{}
}

func (w *traveller) feed(p wire.Packet) error {
	b, err := p.Append(nil, w.v)
	if err != nil {
		return err
	}
	h, n, err := wire.ParseHeader(b, w.v)
	if err != nil {
		return err
	}
	w.note("                 S %v", strings.Join(lines(w.v, b), " "))
	return w.c.Handle(h, b[n:], w.now)
}

// connect begins a connection to one of the servers. CONNECT or CONNACK may get lost.
func (w *traveller) connect(certain bool) error {
	if w.at != nil {
		return nil
	}
	s := w.inns[w.rng.IntN(len(w.inns))]
	p := keeping(w.v)
	p.ClientID = s.client
	w.note("--- connect to %s as %s", s.name, s.client)
	if err := w.c.ConnectTo(s.name, w.v, p, w.now); err != nil {
		return err
	}
	w.c.Take(nil, w.now)
	w.in, w.toSend = nil, nil
	if !certain && w.rng.IntN(6) == 0 {
		w.note("--- CONNECT does not arrive")
		w.c.Lost(false)
		return nil
	}
	present := s.exists
	if !present {
		s.exists, s.held = true, map[uint16]string{}
	}
	if !certain && w.rng.IntN(6) == 0 {
		w.note("--- CONNACK gets lost, session was there: %t", present)
		w.c.Lost(false)
		return nil
	}
	w.at = s
	if err := w.feed(&wire.Connack{SessionPresent: present}); err != nil {
		return err
	}
	if w.c.Continuity() != Proven {
		w.unproven++
		for _, payload := range w.open {
			w.exposed[payload] = true
		}
	}
	return invariants(w.c)
}

func (w *traveller) lose() {
	if w.at != nil {
		w.note("--- lost")
		w.at = nil
		w.c.Lost(false)
		w.harvest()
	}
}

func (w *traveller) publish() {
	w.n++
	qos := wire.QoS(1 + w.rng.IntN(2))
	payload := fmt.Sprintf("q%d-%d", qos, w.n)
	o := &Outgoing{Publish: wire.Publish{Topic: "t", Payload: []byte(payload), QoS: qos}}
	w.open[o] = payload
	w.c.Sender.Submit(o, w.now)
}

// serve lets the server handle up to n packets of the client.
func (w *traveller) serve(n int) error {
	if w.at == nil {
		return nil
	}
	w.in = append(w.in, w.c.Take(nil, w.now)...)
	d := wire.Decoder{Version: w.v, From: wire.FromClient}
	for range n {
		h, head, err := wire.ParseHeader(w.in, w.v)
		if err != nil || head == 0 {
			return err
		}
		w.note("C %s", strings.Join(lines(w.v, w.in[:h.Size]), " "))
		p, err := d.Decode(h, w.in[head:h.Size])
		if err != nil {
			return err
		}
		w.in = w.in[h.Size:]
		w.handle(p)
	}
	return nil
}

func (w *traveller) handle(packet wire.Packet) {
	s := w.at
	switch p := packet.(type) {
	case *wire.Publish:
		if p.QoS == wire.AtLeastOnce {
			s.got[string(p.Payload)]++
			w.toSend = append(w.toSend, &wire.Puback{PacketID: p.PacketID})
			return
		}
		held, repeat := s.held[p.PacketID]
		if !repeat || s.restored && held != string(p.Payload) {
			s.held[p.PacketID] = string(p.Payload)
			if !s.late {
				s.got[string(p.Payload)]++
			}
		}
		w.toSend = append(w.toSend, &wire.Pubrec{PacketID: p.PacketID})
	case *wire.Pubrel:
		payload, there := s.held[p.PacketID]
		delete(s.held, p.PacketID)
		if there && s.late {
			s.got[payload]++
		}
		ack := &wire.Pubcomp{PacketID: p.PacketID}
		if !there && !s.silent && w.v == wire.V5 {
			ack.ReasonCode = wire.PacketIdentifierNotFound
		}
		w.toSend = append(w.toSend, ack)
	}
}

// answer delivers up to n answers of the server.
func (w *traveller) answer(n int) error {
	for range min(n, len(w.toSend)) {
		p := w.toSend[0]
		w.toSend = w.toSend[1:]
		if err := w.feed(p); err != nil {
			return err
		}
		if err := invariants(w.c); err != nil {
			return err
		}
	}
	w.harvest()
	return nil
}

func (w *traveller) harvest() {
	for _, o := range w.c.Sender.Completed(nil) {
		payload := w.open[o]
		delete(w.open, o)
		err := o.Result().Err
		w.note("APP %s: %v", payload, err)
		switch {
		case err == nil:
			w.done[payload] = true
		case !w.exposed[payload] || !errors.Is(err, wire.PacketIdentifierNotFound):
			w.note("FAULT") // only what nobody can know may fail
			w.done[payload+" failed without a reason"] = true
		}
	}
}

func (w *traveller) step() error {
	s := w.inns[w.rng.IntN(len(w.inns))]
	switch w.rng.IntN(18) {
	case 0, 1, 2, 3:
		w.publish()
	case 4:
		w.lose()
	case 5:
		if w.rng.IntN(3) > 0 {
			return nil
		}
		w.lose()
		w.note("--- %s loses its session", s.name)
		s.exists, s.saved = false, nil
	case 6:
		if s.saved == nil || w.rng.IntN(3) > 0 {
			return nil
		}
		w.lose()
		w.note("--- %s comes back from an older save", s.name)
		s.held, s.restored = maps.Clone(s.saved), true
		for _, payload := range w.open {
			w.exempt[payload], w.exposed[payload] = true, true
		}
	case 7:
		if s.exists {
			s.saved = maps.Clone(s.held)
		}
	case 8:
		if w.rng.IntN(4) == 0 {
			w.process()
		}
	case 9, 10, 11:
		return w.connect(false)
	case 12, 13, 14:
		return w.serve(1 + w.rng.IntN(6))
	default:
		return w.answer(1 + w.rng.IntN(6))
	}
	return nil
}

// travel plays one journey and checks that what was acknowledged is there, and that
// what was never in doubt is there once.
func travel(seed uint64) (*traveller, error) {
	w := newTraveller(seed)
	for range 20 + w.rng.IntN(200) {
		if err := w.step(); err != nil {
			return w, err
		}
	}
	for range 1000 {
		if err := errors.Join(w.connect(true), w.serve(1000), w.answer(1000)); err != nil {
			return w, err
		}
	}
	if len(w.open) > 0 {
		return w, fmt.Errorf("%d messages are not completed", len(w.open))
	}
	for payload := range w.done {
		n := 0
		for _, s := range w.inns {
			n += s.got[payload]
		}
		if n == 0 && !w.exempt[payload] {
			return w, fmt.Errorf("%s was acknowledged and is nowhere", payload)
		}
		if n > 1 && strings.HasPrefix(payload, "q2") && !w.exposed[payload] && w.processes == 1 && !w.restored() {
			return w, fmt.Errorf("%s came %d times, and its session was proven", payload, n)
		}
	}
	return w, nil
}

// restored says that a server went back to a save, with which messages may come again.
func (w *traveller) restored() bool {
	return slices.ContainsFunc(w.inns, func(s *inn) bool { return s.restored })
}

// Servers change, lose, restore and invent sessions, CONNACKs get lost, and processes
// begin anew in the session of the last one: what Publish says to be delivered is.
func TestWhatIsAcknowledgedIsDelivered(t *testing.T) {
	if *travelSeed != 0 {
		w, err := travel(*travelSeed)
		t.Log(strings.Join(w.log, "\n"))
		require.NoError(t, err)
		return
	}
	unproven, processes := 0, 0
	for seed := range uint64(*travelSeeds) {
		w, err := travel(seed + 1)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed+1, err, strings.Join(w.log, "\n"))
		}
		unproven += w.unproven
		processes += w.processes
	}
	t.Logf("%d connections with a session that was not proven, %d processes", unproven, processes)
	require.Greater(t, unproven, *travelSeeds)
	require.Greater(t, processes, *travelSeeds)
}
