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
	subscriptionSeeds = flag.Int("subscriptions.seeds", 3000, "how many random lives of subscriptions are played")
	subscriptionSeed  = flag.Uint64("subscriptions.seed", 0, "the one life to play and log")
)

// subscriptionServer is what a server keeps of one client: a set of filters.
type subscriptionServer struct {
	name    string
	client  string // the identifier of its session
	exists  bool   // the session
	filters map[string]wire.SubscribeFilter
	saved   map[string]wire.SubscribeFilter // what it comes back with after a crash; nil: nothing
	refuses map[string]bool
	// revived are filters of a save: one that was ended since is there again, and nobody
	// can know.
	revived map[string]bool
}

// subscriptionWorld is a client, its application, and the servers that it may meet.
type subscriptionWorld struct {
	rng     *rand.Rand
	v       wire.Version
	c       *Client
	now     time.Time
	busy    int // of a hundred requests, those whose packet identifier the server has in use
	servers []*subscriptionServer
	server  *subscriptionServer // of the connection; nil: there is none
	failed  bool                // the connection: nothing comes or goes, but the client was not told that it is lost
	toSend  []wire.Packet       // of the server, answers that the client has not got yet
	slow    bool                // its servers may handle an UNSUBSCRIBE after the packet behind it
	late    *wire.Unsubscribe   // which one does so at present; nil: none
	in      []byte

	interests []*Interest
	answered  map[*Interest]int
	refused   map[*Interest]map[string]bool // filters, by the last answer
	left      map[*Leave]int
	leaves    []*Leave
	keeps     bool            // some interests leave their filters to later ones
	kept      map[string]bool // those filters: a server may have them
	log       []string
}

func (w *subscriptionWorld) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func newSubscriptionWorld(seed uint64) *subscriptionWorld {
	rng := rand.New(rand.NewPCG(seed, 7))
	v := versions[rng.IntN(3)]
	w := &subscriptionWorld{rng: rng, v: v, now: time.Unix(1, 0), answered: map[*Interest]int{},
		refused: map[*Interest]map[string]bool{}, left: map[*Leave]int{}, keeps: rng.IntN(4) == 0, kept: map[string]bool{}, slow: rng.IntN(2) == 0}
	w.c = NewClient(ClientSettings{AlwaysSubscribe: true, FiltersPerSubscribe: rng.IntN(3)})
	for i := range 1 + rng.IntN(3) {
		name, client := whereabouts(rng, i)
		w.servers = append(w.servers, &subscriptionServer{name: name, client: client, filters: map[string]wire.SubscribeFilter{}, refuses: map[string]bool{}, revived: map[string]bool{}})
	}
	return w
}

// feed gives a packet to the client.
func (w *subscriptionWorld) feed(p wire.Packet) error {
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

// connect begins a connection to a server, which may fail half way.
func (w *subscriptionWorld) connect(certain bool) error {
	if w.server != nil {
		return nil
	}
	s := w.servers[w.rng.IntN(len(w.servers))]
	p := keeping(w.v)
	p.ClientID = s.client
	p.CleanStart = !w.c.HasSessionOf(s.client)
	w.note("--- connect to %s as %s", s.name, s.client)
	if err := w.c.ConnectTo(s.name, w.v, p, w.now); err != nil {
		return err
	}
	w.c.Take(nil, w.now)
	w.in, w.toSend, w.late = nil, nil, nil
	if !certain && w.rng.IntN(6) == 0 {
		w.note("--- CONNECT does not arrive")
		w.c.Lost(false)
		return nil
	}
	present := s.exists && !p.CleanStart
	if !present {
		s.exists, s.filters = true, map[string]wire.SubscribeFilter{}
	}
	if !certain && w.rng.IntN(6) == 0 {
		w.note("--- CONNACK gets lost")
		w.c.Lost(false)
		return nil
	}
	w.server = s
	ack := &wire.Connack{SessionPresent: present && w.v != wire.V31}
	if w.v == wire.V5 && w.rng.IntN(3) == 0 {
		ack.SubscriptionIDAvailable = new(false)
	}
	return w.feed(ack)
}

func (w *subscriptionWorld) lose() {
	if w.server == nil {
		return
	}
	w.note("--- lost")
	w.server, w.failed = nil, false
	w.c.Lost(w.rng.IntN(2) == 0)
}

// fail ends the connection, as the reader does that finds a fault. Its owner says later
// that it is lost.
func (w *subscriptionWorld) fail() {
	if w.server == nil || w.failed {
		return
	}
	w.note("--- fails")
	w.failed = true
	w.in = append(w.in, w.c.Take(nil, w.now)...)
	w.c.Fail(errors.New("a fault"))
}

// serve lets the server handle what the client has sent, up to n packets.
func (w *subscriptionWorld) serve(n int) error {
	if w.server == nil {
		return nil
	}
	if !w.failed { // what was on its way then arrives
		w.in = append(w.in, w.c.Take(nil, w.now)...)
	}
	d := wire.Decoder{Version: w.v, From: wire.FromClient}
	for range n {
		h, head, err := wire.ParseHeader(w.in, w.v)
		if err != nil || head == 0 {
			w.catchUp()
			return err
		}
		w.note("C %s", strings.Join(lines(w.v, w.in[:h.Size]), " "))
		p, err := d.Decode(h, w.in[head:h.Size])
		if err != nil {
			return err
		}
		w.in = w.in[h.Size:]
		if u, ok := p.(*wire.Unsubscribe); ok && w.slow && w.late == nil && w.rng.IntN(2) == 0 {
			w.late = new(*u)
			continue
		}
		w.handle(p)
		w.catchUp()
	}
	return nil
}

// catchUp lets the server handle what it has put off.
func (w *subscriptionWorld) catchUp() {
	if u := w.late; u != nil {
		w.late = nil
		w.handle(u)
	}
}

// isBusy says whether a server has the packet identifier of a request in use.
func (w *subscriptionWorld) isBusy() bool { return w.rng.IntN(100) < w.busy }

func (w *subscriptionWorld) handle(packet wire.Packet) {
	s := w.server
	switch p := packet.(type) {
	case *wire.Subscribe:
		ack, busy := &wire.Suback{PacketID: p.PacketID}, w.isBusy()
		for _, f := range p.Filters {
			code := wire.ReasonCode(f.QoS)
			if busy {
				code = wire.PacketIdentifierInUse
			} else if s.refuses[f.Filter] {
				code = wire.UnspecifiedError
			} else {
				f.RetainHandling = 0
				s.filters[f.Filter] = f
			}
			ack.ReasonCodes = append(ack.ReasonCodes, code)
		}
		w.toSend = append(w.toSend, ack)
	case *wire.Unsubscribe:
		ack, busy := &wire.Unsuback{PacketID: p.PacketID}, w.v == wire.V5 && w.isBusy()
		for _, f := range p.Filters {
			if busy {
				ack.ReasonCodes = append(ack.ReasonCodes, wire.PacketIdentifierInUse)
				continue
			}
			code := wire.Success
			if _, there := s.filters[f]; !there {
				code = wire.NoSubscriptionExisted
			}
			delete(s.filters, f)
			if w.v == wire.V5 {
				ack.ReasonCodes = append(ack.ReasonCodes, code)
			}
		}
		w.toSend = append(w.toSend, ack)
	}
}

// answer delivers up to n answers of the server.
func (w *subscriptionWorld) answer(n int) error {
	for range min(n, len(w.toSend)) {
		if w.server == nil || w.failed {
			break
		}
		p := w.toSend[0]
		w.toSend = w.toSend[1:]
		if err := w.feed(p); err != nil {
			return err
		}
	}
	w.harvest()
	return nil
}

// harvest acts like an application: an interest of which nothing is granted ends.
func (w *subscriptionWorld) harvest() {
	for _, a := range w.c.Subscriptions.Answers(nil) {
		w.answered[a.Interest]++
		refused := map[string]bool{}
		for i, f := range a.Answers {
			if f.ReasonCode.Failed() {
				refused[a.Interest.Filters[i].Filter] = true
			}
		}
		w.refused[a.Interest] = refused
		if len(refused) == len(a.Interest.Filters) {
			w.remove(a.Interest)
		}
	}
	for _, l := range w.c.Subscriptions.Left(nil) {
		w.left[l]++
	}
}

func (w *subscriptionWorld) add() {
	in := &Interest{}
	for _, name := range []string{"a", "b", "c", "d/#", "+/e"} {
		if w.rng.IntN(3) == 0 {
			in.Filters = append(in.Filters, wire.SubscribeFilter{Filter: name, QoS: wire.QoS(w.rng.IntN(3)), RetainAsPublished: w.v == wire.V5 && w.rng.IntN(2) == 0})
			in.SubscriptionIDs = append(in.SubscriptionIDs, uint32(1+len(name)))
		}
	}
	if len(in.Filters) == 0 {
		return
	}
	w.note("add %v", in.Filters)
	w.interests = append(w.interests, in)
	w.c.Subscriptions.Add(in)
}

func (w *subscriptionWorld) remove(in *Interest) {
	w.interests = slices.DeleteFunc(w.interests, func(o *Interest) bool { return o == in })
	keep := w.keeps && w.rng.IntN(4) == 0
	w.note("remove %v, keep %t", in.Filters, keep)
	if keep {
		for _, f := range in.Filters {
			w.kept[f.Filter] = true
		}
	}
	if l := w.c.Subscriptions.Remove(in, keep); l != nil {
		w.leaves = append(w.leaves, l)
	}
}

func (w *subscriptionWorld) step() error {
	w.note("· ")
	s := w.servers[w.rng.IntN(len(w.servers))]
	switch w.rng.IntN(17) {
	case 0, 1, 2:
		w.add()
	case 3, 4:
		if n := len(w.interests); n > 0 {
			w.remove(w.interests[w.rng.IntN(n)])
		}
	case 5:
		w.lose()
	case 6:
		w.lose()
		switch w.rng.IntN(3) {
		case 0:
			w.note("--- %s loses its session", s.name)
			s.exists, s.saved = false, nil
		case 1:
			w.note("--- %s comes back from its save", s.name)
			if s.saved != nil {
				s.filters = maps.Clone(s.saved)
				for name := range s.saved {
					s.revived[name] = true
				}
			} else {
				s.exists = false
			}
		}
	case 7:
		if s.exists {
			s.saved = maps.Clone(s.filters)
		}
	case 8:
		name := []string{"a", "b"}[w.rng.IntN(2)]
		s.refuses[name] = !s.refuses[name]
		w.note("--- %s refuses %s: %t", s.name, name, s.refuses[name])
	case 9:
		names := []string{"a", "left"}[w.rng.IntN(2):]
		w.note("unsubscribe %q", names)
		w.leaves = append(w.leaves, w.c.Subscriptions.Unsubscribe(names, nil))
	case 10, 11:
		return w.connect(false)
	case 12, 13:
		return w.serve(w.rng.IntN(4))
	case 14:
		w.fail()
	default:
		return w.answer(w.rng.IntN(4))
	}
	w.harvest()
	return nil
}

// converge lets everything arrive on one more connection.
func (w *subscriptionWorld) converge() error {
	if w.failed || w.rng.IntN(2) == 0 {
		w.lose() // as a restored save can only be noticed by a new connection
	}
	for range 100 {
		if err := w.connect(true); err != nil {
			return err
		}
		if err := w.serve(1000); err != nil {
			return err
		}
		if err := w.answer(1000); err != nil {
			return err
		}
	}
	return w.compare()
}

// compare says how client and server differ.
func (w *subscriptionWorld) compare() error {
	want := map[string]wire.SubscribeFilter{}
	for _, in := range w.interests {
		if w.answered[in] == 0 {
			return fmt.Errorf("interest in %v was never answered", in.Filters)
		}
		for _, f := range in.Filters {
			if w.refused[in][f.Filter] {
				continue
			}
			o, shared := want[f.Filter]
			if !shared {
				o = wire.SubscribeFilter{Filter: f.Filter}
			}
			o.QoS = max(o.QoS, f.QoS)
			o.RetainAsPublished = o.RetainAsPublished || f.RetainAsPublished
			want[f.Filter] = o
		}
	}
	has := maps.Clone(w.server.filters)
	maps.DeleteFunc(has, func(name string, _ wire.SubscribeFilter) bool {
		_, wanted := want[name]
		return !wanted && (w.server.revived[name] || w.kept[name])
	})
	if !slices.Equal(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(has))) {
		return fmt.Errorf("wanted %v, the server has %v", slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(has)))
	}
	for name, f := range want {
		// Before 5.0 options are not narrowed; of a refused widening the old ones stay.
		if o := has[name]; o != f && !w.server.refuses[name] && (w.v == wire.V5 || o.QoS < f.QoS) {
			return fmt.Errorf("filter %v has options %+v, want %+v", name, o, f)
		}
	}
	for _, l := range w.leaves {
		if w.left[l] != 1 {
			return fmt.Errorf("leave of %q ended %d times", l.Filters, w.left[l])
		}
	}
	return w.bounded()
}

// bounded says what the engine remembers without a reason.
func (w *subscriptionWorld) bounded() error {
	s := w.c.Subscriptions
	for name, f := range s.filters {
		if len(f.asks) == 0 && len(f.elsewhere) == 0 {
			return fmt.Errorf("filter %q is remembered for nobody", name)
		}
		if len(f.steps) > 0 || len(f.leaves) > 0 {
			return fmt.Errorf("filter %q has %d steps and %d leaves left", name, len(f.steps), len(f.leaves))
		}
		var all tally
		for i, a := range f.asks {
			if all.count(a, 1); a.place != i {
				return fmt.Errorf("filter %q has its ask %d at %d", name, i, a.place)
			}
		}
		if f.tally != all {
			return fmt.Errorf("filter %q counts %+v of %+v", name, f.tally, all)
		}
	}
	if s.open != 0 || len(s.due) != 0 || len(s.changed) != 0 {
		return fmt.Errorf("%d open, %d due, %d changed", s.open, len(s.due), len(s.changed))
	}
	return nil
}

func liveOfSubscriptions(seed uint64) (*subscriptionWorld, error) {
	w := newSubscriptionWorld(seed)
	w.busy = 20
	for range 10 + w.rng.IntN(150) {
		if err := w.step(); err != nil {
			return w, err
		}
	}
	return w, w.converge()
}

// Whatever is subscribed, given up, refused, lost, restored and answered late: in the
// end the server has what is wanted and nothing else, and every wait has ended once.
func TestServerAndClientAgreeInTheEnd(t *testing.T) {
	if *subscriptionSeed != 0 {
		w, err := liveOfSubscriptions(*subscriptionSeed)
		t.Log(strings.Join(w.log, "\n"))
		require.NoError(t, err)
		return
	}
	for seed := range uint64(*subscriptionSeeds) {
		if w, err := liveOfSubscriptions(seed + 1); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed+1, err, strings.Join(w.log, "\n"))
		}
	}
}
