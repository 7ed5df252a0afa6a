package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// world is a Client, a model server, an application on either side and the
// bytes between them. What goes wrong first is kept in fault.
type world struct {
	v      wire.Version
	c      *Client
	server *modelServer
	now    time.Time
	fault  error
	log    []string // only when recording
	record bool

	up                 bool
	toServer, toClient []byte // in flight
	partial            []byte // arrived at the client, not a whole packet yet
	cut                [2]int // how many bytes still get through to the server and to the client; -1: all
	passed             [2]int // how many did on this connection
	lastTCP            bool   // on a break, what is in flight still arrives at the server
	clientMax          uint16
	serverMax          int
	nextCut            *[2]int         // of the connection after the first cut
	forgetAt           int             // the connection before which the server loses its session; 0: none
	forgot             bool            // the server lost its session at least once
	doubted            bool            // a connection could not tell whether the session was the one before
	failed             map[string]bool // messages of which the server said in doubt that it does not know them
	reconnects         int

	inPlaceWrites
	outgoing  []*Outgoing // the Owner is a copy of the payload
	withdrawn map[*Outgoing]bool
	completed map[*Outgoing]int
	requests  map[*Request]int
	held      []heldMessage // the application has them and has not acknowledged them
	got       []string
	n         int
}

type heldMessage struct {
	payload string
	token   Token
}

const (
	towardsServer = 0
	towardsClient = 1
)

func newWorld(v wire.Version) *world {
	return &world{
		v: v, c: NewClient(ClientSettings{TopicAliases: 4}), server: &modelServer{v: v, aliasMax: 3},
		now: time.Unix(1, 0), cut: [2]int{-1, -1}, serverMax: 65535,
		withdrawn: map[*Outgoing]bool{}, completed: map[*Outgoing]int{}, failed: map[string]bool{}, requests: map[*Request]int{},
	}
}

func (w *world) note(format string, args ...any) {
	if w.record {
		w.log = append(w.log, fmt.Sprintf(format, args...))
	}
}

func (w *world) fail(format string, args ...any) {
	if w.fault == nil {
		w.fault = fmt.Errorf(format, args...)
		w.note("FAULT %v", w.fault)
	}
}

func (w *world) check() {
	if w.server.fault != nil {
		w.fail("%w", w.server.fault)
	}
	if err := invariants(w.c); err != nil {
		w.fail("invariants: %w", err)
	}
}

func (w *world) connect() {
	if w.up {
		return
	}
	w.note("--- connect, session at the server: %t", w.server.session != nil)
	w.up, w.passed = true, [2]int{}
	w.reconnects++
	if w.reconnects == w.forgetAt {
		w.server.forget()
		w.forgot = true
	}
	w.server.accept(w.serverMax)
	p := keeping(w.v)
	if w.v == wire.V5 {
		p.ReceiveMaximum = w.clientMax
	}
	if err := w.c.Connect(w.v, p, w.now); err != nil {
		w.fail("connect: %w", err)
	}
	w.collect()
}

func (w *world) lose(byServer bool) {
	if !w.up {
		return
	}
	w.note("--- lost, by server: %t", byServer)
	if w.lastTCP {
		w.server.receive(w.toServer)
	}
	w.up, w.toServer, w.toClient, w.partial = false, nil, nil, nil
	w.endInPlace(false)
	w.server.lost()
	w.c.Lost(byServer)
	w.harvest()
	w.check()
}

// collect puts what both sides want to send in flight.
func (w *world) collect() {
	for w.up && w.c.Pending() > 0 && w.writing == nil {
		o := w.inPlaceMessage()
		b := w.c.TakeBefore(o, nil, w.now)
		for _, line := range w.lines(b) {
			w.note("C %s", line)
		}
		w.toServer = append(w.toServer, b...)
		if !w.beginInPlace(o) {
			w.c.Wrote(w.now)
		}
	}
	if len(w.server.out) > 0 {
		for _, line := range w.lines(w.server.out) {
			w.note("                                S %s", line)
		}
		w.toClient = append(w.toClient, w.server.out...)
		w.server.out = nil
	}
}

func (w *world) lines(b []byte) []string {
	if !w.record {
		return nil
	}
	return lines(w.v, b)
}

// arrive lets up to n bytes in flight arrive, and breaks the connection at its cut.
func (w *world) arrive(direction, n int) {
	if !w.up {
		return
	}
	w.collect()
	flight := &w.toServer
	if direction == towardsClient {
		flight = &w.toClient
	}
	n = min(n, len(*flight))
	limit := w.cut[direction]
	if limit >= 0 {
		n = min(n, limit-w.passed[direction])
	}
	b := slices.Clone((*flight)[:n])
	*flight = (*flight)[n:]
	w.passed[direction] += n
	if direction == towardsServer {
		w.server.receive(b)
	} else {
		w.partial = append(w.partial, b...)
		w.read()
	}
	w.check()
	if limit >= 0 && w.passed[direction] >= limit {
		w.note("--- cut after %d bytes", w.passed[direction])
		w.cut = [2]int{-1, -1}
		if w.nextCut != nil {
			w.cut, w.nextCut = *w.nextCut, nil
		}
		w.lose(false)
		return
	}
	w.collect()
}

// read lets the client handle the whole packets that arrived.
func (w *world) read() {
	for {
		h, n, err := wire.ParseHeader(w.partial, w.v)
		if err != nil {
			w.fail("header: %w", err)
			return
		}
		if n == 0 || len(w.partial) < h.Size {
			break
		}
		if err := w.c.Handle(h, w.partial[n:h.Size], w.now); err != nil {
			w.fail("client: %w", err)
			return
		}
		w.partial = w.partial[h.Size:]
	}
	w.server.confirmed = w.c.Connected()
	w.doubted = w.doubted || w.c.Connected() && w.c.Continuity() == Doubtful
	w.harvest()
}

// harvest takes what the engine has for the application.
func (w *world) harvest() {
	for _, m := range w.c.Received() {
		payload := string(m.Publish.Payload)
		w.note("APP gets %s", payload)
		w.got = append(w.got, payload)
		if !m.Token.IsZero() {
			w.held = append(w.held, heldMessage{payload, m.Token})
		}
	}
	w.c.Recycle()
	for _, o := range w.c.Sender.Completed(nil) {
		w.note("APP completed %s", o.Owner)
		w.completed[o]++
		if o == w.writing {
			w.early++
		} else {
			spoil(o.Publish.Payload)
		}
		if err := o.Result().Err; errors.Is(err, errDropped) || errors.Is(err, ErrExpired) {
			if o.Sent() {
				w.fail("%s was dropped although it was sent", o.Owner)
			}
			w.completed[o]--
			w.withdrawn[o] = true
			continue
		}
		if w.doubted && errors.Is(o.Result().Err, wire.PacketIdentifierNotFound) {
			w.failed[o.Owner.(string)] = true
			continue
		}
		if o.Result().Err != nil && !(errors.Is(o.Result().Err, ErrConnectionLost) && o.Publish.QoS == 0) {
			w.fail("%s ended with %w", o.Owner, o.Result().Err)
		}
	}
	for _, r := range w.c.Answered(nil) {
		w.requests[r]++
		if r.Err != nil && !errors.Is(r.Err, ErrConnectionLost) {
			w.fail("request ended with %w", r.Err)
		}
	}
}

func (w *world) publish(qos wire.QoS) {
	w.n++
	payload := fmt.Sprintf("c%d-%d", qos, w.n)
	o := &Outgoing{Publish: wire.Publish{Topic: modelTopic(payload), Payload: []byte(payload), QoS: qos}, Owner: payload}
	w.outgoing = append(w.outgoing, o)
	w.c.Sender.Submit(o, w.now)
	w.harvest()
	w.check()
}

func (w *world) serverPublish(qos wire.QoS) {
	w.n++
	w.server.publish(fmt.Sprintf("s%d-%d", qos, w.n), qos)
	w.check()
}

func (w *world) request(r *Request) {
	if err := w.c.Request(r); err == nil {
		w.requests[r] = 0
	} else if !errors.Is(err, ErrNotConnected) {
		w.fail("request: %w", err)
	}
	w.check()
}

func (w *world) ack(i int) {
	m := w.held[i]
	w.held = slices.Delete(w.held, i, i+1)
	w.note("APP acknowledges %s", m.payload)
	if err := w.c.Receiver.Ack(m.token, wire.Success); err != nil && !(w.forgot && errors.Is(err, ErrStale)) {
		w.fail("ack of %s: %w", m.payload, err)
	}
	w.check()
}

func (w *world) withdraw(o *Outgoing) {
	if w.c.Sender.Withdraw(o) {
		w.withdrawn[o] = true
		spoil(o.Publish.Payload)
	}
	w.check()
}

// errDropped ends messages that drop takes out of the queue.
var errDropped = errors.New("dropped")

// drop takes messages out of the queue, in one of the ways that there are.
func (w *world) drop(rng *rand.Rand) {
	s := w.c.Sender
	acknowledged, least := rng.IntN(2) == 0, rng.IntN(4)
	all, _ := s.Droppable(acknowledged)
	enough := func(messages, bytes int) bool { return messages >= least }
	switch rng.IntN(3) {
	case 0:
		if n := s.DropOldest(acknowledged, enough, errDropped); n != least && n > 0 || n > 0 != (all >= least && all > 0 && least > 0) {
			w.fail("dropped %d of %d to make room for %d", n, all, least)
		}
	case 1:
		s.KeepLatest(acknowledged, modelTopic(fmt.Sprint(w.n)), enough, errDropped)
	case 2:
		if len(w.outgoing) > 0 {
			s.WaitUntil(w.outgoing[rng.IntN(len(w.outgoing))], w.now)
			s.DropExpired(w.now)
			s.Pump(w.now)
		}
	}
	w.harvest()
	w.check()
}

// exchange lets everything in flight arrive until nothing moves.
func (w *world) exchange() {
	for w.up && w.fault == nil {
		w.collect()
		if len(w.toServer)+len(w.toClient) == 0 {
			if w.writing == nil {
				return
			}
			w.endInPlace(true)
		}
		w.arrive(towardsServer, len(w.toServer))
		w.arrive(towardsClient, len(w.toClient))
	}
}

// letGo lets the time pass for which the beginning of a packet is alone.
func (w *world) letGo() {
	if held := w.c.link.stream.held; w.up && !held.IsZero() {
		w.now = held
		if err := w.c.Tick(held); err != nil {
			w.fail("%v", err)
		}
		w.exchange()
	}
}

// converge ends the conversation in peace and compares what both sides have.
func (w *world) converge() error {
	w.server.lazy = false
	for range 50 {
		w.connect()
		w.server.flush(len(w.server.answers))
		w.exchange()
		w.letGo()
		for len(w.held) > 0 {
			w.ack(0)
		}
		w.exchange()
		w.harvest()
		if w.fault != nil {
			return w.fault
		}
	}
	s, r := w.c.Sender, w.c.Receiver
	queued, bytes := s.Queued()
	unfinished := r.Unfinished()
	if w.doubted {
		unfinished = 0 // what a lost session was to repeat stays until its identifier comes again
	}
	if s.Inflight()+queued+bytes+unfinished+s.ids.used != 0 {
		w.fail("left over: %d in flight, %d queued (%d bytes), %d unfinished, %d identifiers", s.Inflight(), queued, bytes, r.Unfinished(), s.ids.used)
	}
	if m := w.server.session; len(m.open)+len(m.queue)+len(m.held)+len(m.inUse) != 0 {
		w.fail("left over at the server: %+v", *m)
	}
	for r, n := range w.requests {
		if n != 1 {
			w.fail("request %+v was answered %d times", *r, n)
		}
	}
	var sent []string
	for _, o := range w.outgoing {
		want := 1
		if w.withdrawn[o] {
			want = 0
		} else {
			sent = append(sent, o.Owner.(string))
		}
		if w.completed[o] != want {
			w.fail("%s was completed %d times, want %d", o.Owner, w.completed[o], want)
		}
	}
	w.compare("to server", sent, w.server.got, true)
	w.compare("to client", w.server.sent, w.got, !w.forgot)
	return w.fault
}

// compare checks the guarantees: QoS 0 at most once, 1 at least once, 2 exactly
// once, first deliveries in order. A server that loses its session loses the
// messages in it (complete false) and may see messages of ours twice.
func (w *world) compare(direction string, sent, got []string, complete bool) {
	count := map[string]int{}
	next := 0
	for _, payload := range got {
		if count[payload]++; count[payload] > 1 {
			continue
		}
		i := slices.Index(sent[next:], payload)
		if i < 0 {
			w.fail("%s: %s is out of order or was never sent", direction, payload)
			return
		}
		next += i + 1
	}
	for _, payload := range sent {
		n := count[payload]
		least, most := 0, 1
		switch {
		case strings.Contains(payload, "1-"):
			least, most = 1, 1<<20
		case strings.Contains(payload, "2-"):
			least = 1
			if (w.forgot || w.doubted) && direction == "to server" {
				most = 1 << 20
			}
			if w.failed[payload] {
				least = 0
			}
		}
		if !complete {
			least = 0
		}
		if n < least || n > most {
			w.fail("%s: %s arrived %d times", direction, payload, n)
		}
	}
}
