package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// pair is a Client and a Server with an application on either side and the bytes
// between them. What goes wrong first is kept in fault.
type pair struct {
	v     wire.Version
	c     *Client
	s     *Server
	now   time.Time
	fault error

	up        bool
	confirmed bool      // the client has read the CONNACK of this session
	flight    [2][]byte // written, not arrived
	partial   [2][]byte // arrived, not a whole packet yet
	cut       [2]int    // how many bytes get through before the connection breaks; -1: all
	passed    [2]int
	lastTCP   bool // on a break, what is in flight still arrives at the server

	sent, got [2][]string // payloads, by direction
	requests  map[*Request]bool
	held      [2][]Token
	early     []*Outgoing // what the server has for a client without a session
	completed int         // messages that are completed
	n         int
}

func newPair(v wire.Version) *pair {
	return &pair{v: v, c: NewClient(ClientSettings{}), s: NewServer(ServerSettings{}), now: time.Unix(1, 0),
		cut: [2]int{-1, -1}, requests: map[*Request]bool{}}
}

func (w *pair) fail(format string, args ...any) {
	if w.fault == nil {
		w.fault = fmt.Errorf(format, args...)
	}
}

func (w *pair) check(what string, errs ...error) {
	errs = append(errs, invariants(w.c), serverInvariants(w.s))
	if err := errors.Join(errs...); err != nil {
		w.fail("%s: %w", what, err)
	}
}

func (w *pair) connect() {
	if w.up {
		return
	}
	w.up, w.passed = true, [2]int{}
	w.s.Open(w.now)
	p := keeping(w.v)
	if w.v == wire.V5 {
		p.ReceiveMaximum = 2
	}
	w.check("connect", w.c.Connect(w.v, p, w.now))
}

func (w *pair) lose() {
	if w.lastTCP {
		w.read(towardsServer, w.flight[towardsServer])
	}
	w.up, w.flight, w.partial = false, [2][]byte{}, [2][]byte{}
	w.c.Lost(false)
	w.s.Lost()
	w.harvest()
	w.check("lost")
}

// accept answers CONNECT. A session of which the client has never heard starts
// over: MQTT gives a client no way to tell it from the one before.
func (w *pair) accept() error {
	if !w.confirmed {
		w.s.Forget()
	}
	for _, o := range w.s.Sender.Completed(nil) {
		if !errors.Is(o.Result().Err, ErrSessionEnded) {
			w.fail("%s ended with %v", o.Publish.Payload, o.Result().Err)
		}
		w.early = append(w.early, o)
	}
	ack := new(wire.Connack)
	if w.v == wire.V5 {
		ack.ReceiveMaximum = 2
	}
	err := w.s.Accept(ack, w.now)
	for _, o := range w.early {
		w.s.Publish(o, w.now)
	}
	w.early = nil
	return err
}

// read gives one side bytes that arrived, and lets it handle whole packets.
func (w *pair) read(direction int, b []byte) {
	in := append(w.partial[direction], b...)
	for w.fault == nil {
		h, n, err := wire.ParseHeader(in, w.v)
		if err != nil || n == 0 || len(in) < h.Size {
			w.check("header", err)
			break
		}
		if direction == towardsServer {
			err = w.s.Handle(h, in[n:h.Size], w.now)
		} else {
			err = w.c.Handle(h, in[n:h.Size], w.now)
			w.confirmed = w.confirmed || w.c.Connected()
		}
		w.check(fmt.Sprintf("%v to %d", h.Type, direction), err)
		in = in[h.Size:]
		w.harvest()
	}
	w.partial[direction] = slices.Clone(in)
}

// harvest takes what the engines have for their applications.
func (w *pair) harvest() {
	for _, m := range w.c.Received() {
		w.arrived(towardsClient, &m.Publish, m.Token)
	}
	w.c.Recycle()
	for _, e := range w.s.Events() {
		var err error
		switch p := e.Packet.(type) {
		case *wire.Connect:
			err = w.accept()
		case *wire.Publish:
			w.arrived(towardsServer, p, e.Token)
		case *wire.Subscribe:
			err = w.s.Suback(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.GrantedQoS2}})
		case *wire.Unsubscribe:
			err = w.s.Unsuback(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.Success}})
		}
		if !errors.Is(err, ErrNotConnected) {
			w.check("event", err)
		}
	}
	w.s.Recycle()
	for _, o := range append(w.c.Sender.Completed(nil), w.s.Sender.Completed(nil)...) {
		w.completed++
		if o.Result().Err != nil {
			w.fail("%s ended with %w", o.Publish.Payload, o.Result().Err)
		}
	}
	for _, r := range w.c.Answered(nil) {
		w.requests[r] = true
	}
}

func (w *pair) arrived(direction int, p *wire.Publish, t Token) {
	w.got[direction] = append(w.got[direction], string(p.Payload))
	if !t.IsZero() {
		w.held[direction] = append(w.held[direction], t)
	}
}

// exchange lets everything in flight arrive, up to the cut, until nothing moves.
func (w *pair) exchange() {
	for w.up && w.fault == nil {
		for w.c.Pending() > 0 {
			w.flight[towardsServer] = append(w.flight[towardsServer], w.c.Take(nil, w.now)...)
			w.c.Wrote(w.now)
		}
		for w.s.Pending() > 0 {
			w.flight[towardsClient] = append(w.flight[towardsClient], w.s.Take(nil, w.now)...)
		}
		if len(w.flight[0])+len(w.flight[1]) == 0 {
			return
		}
		for direction := range 2 {
			w.arrive(direction)
		}
	}
}

func (w *pair) arrive(direction int) {
	b, limit := w.flight[direction], w.cut[direction]
	if !w.up {
		return
	}
	broken := limit >= 0 && w.passed[direction]+len(b) >= limit
	if broken {
		b = b[:limit-w.passed[direction]]
	}
	w.flight[direction] = w.flight[direction][len(b):]
	w.passed[direction] += len(b)
	w.read(direction, b)
	if broken {
		w.cut = [2]int{-1, -1}
		w.lose()
	}
}

// publish sends a message of this QoS each way.
func (w *pair) publish(qos wire.QoS) {
	for direction := range 2 {
		w.n++
		text := fmt.Sprintf("q%d-%d", qos, w.n)
		o := &Outgoing{Publish: wire.Publish{Topic: "t", Payload: []byte(text), QoS: qos}}
		w.sent[direction] = append(w.sent[direction], text)
		switch {
		case direction == towardsServer:
			w.c.Sender.Submit(o, w.now)
		case w.s.HasSession():
			w.s.Publish(o, w.now)
		default:
			w.early = append(w.early, o)
		}
	}
	w.harvest()
	w.check("publish")
}

func (w *pair) request(r *Request) {
	if err := w.c.Request(r); !errors.Is(err, ErrNotConnected) {
		w.requests[r] = false
		w.check("request", err)
	}
}

// ack acknowledges everything, the last first.
func (w *pair) ack() {
	for direction, tokens := range w.held {
		slices.Reverse(tokens)
		for _, t := range tokens {
			if direction == towardsServer {
				w.check("ack", w.s.Receiver.Ack(t, wire.Success))
			} else {
				w.check("ack", w.c.Receiver.Ack(t, wire.Success))
			}
		}
		w.held[direction] = nil
	}
}

// converse is a fixed exchange with everything in it, and then peace.
func (w *pair) converse() error {
	for _, step := range []func(){
		func() { w.publish(2); w.publish(1); w.publish(0); w.publish(2) },
		func() { w.request(subscribe("t")) },
		w.exchange, w.ack, w.exchange,
		func() { w.publish(1); w.publish(0); w.request(unsubscribe("t")) },
		w.exchange, w.ack, w.exchange,
	} {
		w.connect()
		if w.passed == [2]int{} {
			w.exchange()
		}
		step()
	}
	for range 10 {
		w.connect()
		w.exchange()
		w.ack()
	}
	left := w.c.Sender.Inflight() + w.s.Sender.Inflight() + w.c.Receiver.Unfinished() + w.s.Receiver.Unfinished()
	if left != 0 || w.completed != w.n {
		w.fail("%d exchanges are left over, %d of %d messages completed", left, w.completed, w.n)
	}
	for r, answered := range w.requests {
		if !answered {
			w.fail("request %+v is not answered", *r)
		}
	}
	for direction := range 2 {
		if err := guarantees(w.sent[direction], w.got[direction]); err != nil {
			w.fail("direction %d: %w", direction, err)
		}
	}
	return w.fault
}

// guarantees checks QoS 0 at most once, 1 at least once, 2 exactly once, and the
// order of first deliveries.
func guarantees(sent, got []string) error {
	count := map[string]int{}
	next := 0
	for _, text := range got {
		if count[text]++; count[text] > 1 {
			continue
		}
		i := slices.Index(sent[next:], text)
		if i < 0 {
			return fmt.Errorf("%s is out of order or was never sent", text)
		}
		next += i + 1
	}
	for _, text := range sent {
		n := count[text]
		switch {
		case strings.HasPrefix(text, "q0") && n > 1,
			strings.HasPrefix(text, "q1") && n < 1,
			strings.HasPrefix(text, "q2") && n != 1:
			return fmt.Errorf("%s arrived %d times", text, n)
		}
	}
	return nil
}

func TestEveryCutBetweenClientAndServer(t *testing.T) {
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			play := func(cut [2]int, last bool) (*pair, error) {
				w := newPair(v)
				w.cut, w.lastTCP = cut, last
				return w, w.converse()
			}
			whole, err := play([2]int{-1, -1}, false)
			require.NoError(t, err)
			require.Len(t, whole.requests, 2)
			for direction := range 2 {
				require.Greater(t, whole.passed[direction], 80)
				for n := 1; n <= whole.passed[direction]; n++ {
					for _, last := range []bool{false, true} {
						cut := [2]int{-1, -1}
						cut[direction] = n
						_, err := play(cut, last)
						require.NoError(t, err, "direction %d cut after %d bytes, last bytes arrive: %t", direction, n, last)
					}
				}
			}
		})
	}
}
