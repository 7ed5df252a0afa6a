package simulation

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// device is a client: an engine and the program that uses it.
type device struct {
	w      *world
	name   string
	engine *session.Client
	pipe   *pipe // nil: there is no connection
	in     []byte
	mon    *monitor
	life   int  // numbers its processes
	kept   bool // a server may have a session: a clean start would delete it

	published []*message // of this process
	held      []held     // the program has them and has not acknowledged them
	interests []*session.Interest
	n         int

	home  *keep            // the session that has seen all that the engine remembers
	doubt map[*server]bool // a CONNECT was not answered, or the session was taken over
	// eraser is until when a CONNECT with a clean start may arrive that was given up.
	eraser map[*server]time.Time
	clean  bool // the last CONNECT asked for a clean start

	stored
	outbox []chunk // taken and not written
}

// held is a message that the program has not acknowledged.
type held struct {
	*delivery
	token session.Token
	stale bool // its session may be gone
}

func newDevice(w *world, i int) *device {
	d := &device{w: w, name: fmt.Sprint("client", i), doubt: make(map[*server]bool), eraser: make(map[*server]time.Time)}
	d.mon = &monitor{d: d}
	if w.schedule.Setup.Store {
		d.disk = newDisk()
	}
	d.process(w.schedule.Setup.Resume, "")
	return d
}

// process begins the next life. resume says that a server may have a session, damaged which
// record the disk has lost.
func (d *device) process(resume bool, damaged string) {
	s := &d.w.schedule.Setup
	d.life++
	d.journal = d.openStore()
	settings := session.ClientSettings{Inflight: s.Inflight, TopicAliases: s.TopicAliases, FailLost: s.FailLost, HasSession: resume}
	if d.journal == nil {
		d.home, d.kept = nil, resume
	} else {
		settings.Journal, settings.HasSession = d.journal, resume && d.journal.Fresh()
		d.kept = d.kept || d.life == 1 && resume
	}
	d.engine = session.NewClient(settings)
	d.held, d.interests = nil, nil
	if d.disk == nil {
		d.published = nil
	}
	d.mon.restart(d.disk != nil)
	d.attach(damaged)
}

// crash ends the process. Without a Store what had no result has none.
func (d *device) crash(b, c int) {
	d.w.tally.Crashes++
	damage := 0
	if c%8 == 7 {
		damage = 1 + b
	}
	damaged := d.kill(b%2 == 0, damage, c)
	d.drop(nil, 1<<20)
	for _, m := range d.published {
		if d.disk == nil && m.ended == 0 {
			m.orphaned, m.exposed = true, true
		}
	}
	for _, s := range d.w.servers {
		if k := s.keeps[d]; k != nil {
			for _, o := range k.open {
				d.forgets(o, damaged)
			}
		}
	}
	d.process(d.w.schedule.Setup.Resume || d.disk == nil, damaged)
}

// forgets says what the next process does not know of a message that the server has not
// finished.
func (d *device) forgets(o *out, damaged string) {
	known := d.disk != nil && o.acked && o.qos == wire.ExactlyOnce && o.ackedAt <= d.journal.Committed()
	if known && !strings.HasPrefix(damaged, "Cr") {
		o.ackedAt = 0
		return
	}
	o.exposed, o.ackedAt = true, 0
	if d.disk == nil || o.qos < wire.ExactlyOnce { // otherwise the last commit may have said so
		o.acked = o.acked && (o.released || o.outgoing != nil && o.outgoing.Released())
	}
}

// connect begins a connection.
func (d *device) connect(s *server) {
	if d.pipe != nil {
		return
	}
	p := &wire.Connect{
		Version: d.w.schedule.Setup.Version, ClientID: d.name, CleanStart: !d.engine.HasSessionOf(d.name) && (d.disk == nil || d.w.schedule.Setup.Version == wire.V5), KeepAlive: d.w.schedule.Setup.KeepAlive,
	}
	if p.Version == wire.V5 {
		p.SessionExpiryInterval = 1 << 31
		p.ReceiveMaximum, p.TopicAliasMaximum = d.w.schedule.Setup.ReceiveMax, d.w.schedule.Setup.AliasMax
	}
	if d.clean = p.CleanStart; d.clean && d.kept {
		d.w.fail("%s throws its session away", d.name)
	}
	d.w.tally.Connections++
	d.pipe, d.in = s.dial(d), nil
	if err := d.engine.ConnectTo(s.name, p.Version, p, d.w.now); err != nil {
		d.w.fail("%s cannot connect: %w", d.name, err)
	}
	d.mon.begin(p.Version)
	d.collect()
}

// collect puts in flight what the engine wants to send and the Store allows.
func (d *device) collect() {
	for n := 0; d.pipe != nil && d.w.fault == nil; n++ {
		if d.flush(); len(d.outbox) > 0 || d.engine.Pending() == 0 {
			return
		}
		b := d.engine.Take(nil, d.w.now)
		d.mon.sends(b)
		d.outbox = append(d.outbox, chunk{b, d.position()})
		if n > 1000 {
			d.w.fail("liveness: %s has always more to send", d.name)
		}
	}
}

// flush writes what was taken, as far as everything is committed that it waits for.
func (d *device) flush() {
	for len(d.outbox) > 0 && d.mayWrite(d.outbox[0].position) {
		fly(&d.pipe.up, d.pipe.upDead, d.outbox[0].bytes)
		d.outbox = d.outbox[1:]
		d.mon.wrote()
		d.engine.Wrote(d.w.now)
	}
}

// up lets n bytes arrive at the server.
func (d *device) up(n int) {
	if d.pipe != nil {
		d.collect()
		d.pipe.arriveUp(n)
	}
}

// down lets n bytes arrive at the client.
func (d *device) down(n int) {
	if d.pipe != nil {
		d.pipe.arriveDown(n)
	}
}

// settle lets everything arrive, n times.
func (d *device) settle(n int) {
	for range n {
		if p := d.pipe; p != nil {
			d.commit()
			d.collect()
			d.commit()
			d.collect()
			if p.clientGone {
				return
			}
			p.arriveUp(len(p.up))
			p.arriveDown(len(p.down))
		}
	}
}

// receive handles bytes that arrived.
func (d *device) receive(b []byte) {
	d.in = append(d.in, b...)
	for d.pipe != nil {
		h, n, err := wire.ParseHeader(d.in, d.engine.Version())
		if err == nil && (n == 0 || len(d.in) < h.Size) {
			break
		}
		if err != nil {
			d.w.fail("%s: header: %w", d.name, err)
			return
		}
		body := d.in[n:h.Size:h.Size]
		d.in = d.in[h.Size:]
		d.collect() // what is sent before, so that the monitor sees everything in order
		d.mon.gets(h, body)
		was := d.engine.Connected()
		err = d.engine.Handle(h, body, d.w.now)
		if !was && d.engine.Connected() {
			d.connected()
		}
		d.harvest()
		if err != nil {
			d.refusedBy(err)
			return
		}
	}
	d.collect()
}

// refusedBy handles an error of the engine, which has to come from what the server has said.
func (d *device) refusedBy(err error) {
	if _, said := errors.AsType[*session.ServerError](err); !said {
		d.w.fail("%s: %w", d.name, err)
	}
	d.drop(err, 0)
}

// connected takes note of a session.
func (d *device) connected() {
	s := d.pipe.link.server
	k := d.pipe.link.keep
	proven := d.engine.Connack().SessionPresent && k == d.home && !d.doubt[s]
	d.w.note("%s is connected to %s: session %t, proven %t, %v", d.name, s.name, d.engine.Connack().SessionPresent, proven, d.engine.Continuity())
	if !proven {
		d.w.tally.Unproven++
		for _, m := range d.published {
			m.exposed = m.exposed || m.ended == 0 && (m.sent || m.recovered)
		}
		for i := range d.held {
			d.held[i].stale = true
		}
	}
	d.mon.open(proven, d.engine.Connack().SessionPresent)
	if d.mayWrite(d.homeAt) {
		d.before, d.keptBefore = d.home, d.kept
	}
	d.kept = d.kept || d.mon.version == wire.V5 // before, a session that began clean ends with its connection
	d.home, d.homeAt, d.doubt[s] = k, d.position(), false
}

// serverClosed handles the end of the connection by the server; reset says that it looks like
// a broken network.
func (d *device) serverClosed(reset bool) {
	if reset {
		d.drop(nil, 0)
		return
	}
	d.drop(errHungUp, 0)
}

var errHungUp = errors.New("server closed the connection")

// drop ends the connection on the client's side. The server gets the first keep bytes of what
// is in flight.
func (d *device) drop(cause error, keep int) {
	p := d.pipe
	if p == nil {
		return
	}
	d.w.note("%s has lost the connection: %v", d.name, cause)
	d.noteDoubt(p.link.server, cause)
	for d.engine.Pending() > 0 && d.w.fault == nil {
		d.mon.sends(d.engine.Take(nil, d.w.now)) // it gets lost, but the engine counts it as sent
	}
	p.up, p.clientGone, p.given = p.up[:min(keep, len(p.up))], true, d.w.now
	if !p.serverGone {
		d.w.orphans = append(d.w.orphans, p)
	}
	d.pipe, d.in, d.outbox = nil, nil, nil
	d.engine.LostBecause(cause, d.w.now)
	d.harvest()
}

// noteDoubt notes what the client cannot know of its session at s from now on.
func (d *device) noteDoubt(s *server, cause error) {
	unanswered := d.engine.Connack() == nil
	said, ok := errors.AsType[*session.ServerError](cause)
	if unanswered || ok && said.ReasonCode == wire.SessionTakenOver || d.w.now.Before(d.eraser[s]) {
		d.doubt[s] = true
	}
	if !unanswered && !d.w.now.Before(d.eraser[s]) {
		delete(d.eraser, s)
	}
	if unanswered && d.clean {
		d.eraser[s] = d.w.now.Add(giveUp + time.Minute)
	}
}

func (d *device) deadline() time.Time { return d.engine.Deadline() }

func (d *device) tick() {
	if d.pipe == nil {
		return
	}
	d.mon.silence()
	err := d.engine.Tick(d.w.now)
	d.harvest()
	d.collect()
	if err != nil {
		d.drop(nil, len(d.pipe.up))
	}
}
