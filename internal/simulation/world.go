package simulation

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// world is everything in one run.
type world struct {
	ledger
	schedule *Schedule
	now      time.Time
	devices  []*device
	servers  []*server
	orphans  []*pipe // the client has let go, and the server does not know it yet
	hangups  int     // times that a server ended connections without a reason
	healed   bool
	tally    Tally

	recording bool
	log       []string
}

// Tally counts what happened in a run.
type Tally struct {
	Connections, Unproven, Messages, Handed, Repeats, Crashes int
}

// Add adds the figures of another run.
func (t *Tally) Add(of Tally) {
	t.Connections += of.Connections
	t.Unproven += of.Unproven
	t.Messages += of.Messages
	t.Handed += of.Handed
	t.Repeats += of.Repeats
	t.Crashes += of.Crashes
}

// Run plays a schedule and returns the first fault.
func Run(s *Schedule) (Tally, error) {
	w := newWorld(s)
	err := w.run()
	return w.tally, err
}

// Trace plays a schedule and returns what happened in words, with the first fault.
func Trace(s *Schedule) (string, error) {
	w := newWorld(s)
	w.recording = true
	err := w.run()
	return strings.Join(w.log, "\n"), err
}

func newWorld(s *Schedule) *world {
	w := &world{schedule: s, now: time.Unix(1_000_000, 0)}
	w.byPayload, w.passed = make(map[string]*message), make(map[passage]int)
	for i, of := range s.Setup.Servers {
		w.servers = append(w.servers, newServer(w, i, of))
	}
	for i := range s.Setup.Clients {
		w.devices = append(w.devices, newDevice(w, i))
	}
	return w
}

func (w *world) note(format string, args ...any) {
	if w.recording {
		w.log = append(w.log, fmt.Sprintf(format, args...))
	}
}

func (w *world) run() (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.note("PANIC %v\n%s", p, debug.Stack())
			if err = w.fault; err == nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}
	}()
	for i := range w.schedule.Steps {
		if w.recording {
			w.note("%s", w.schedule.Steps[i])
		}
		w.play(&w.schedule.Steps[i])
		if w.fault != nil {
			return w.fault
		}
	}
	w.heal()
	if w.fault == nil {
		w.judge()
	}
	return w.fault
}

func (w *world) play(s *Step) {
	d, at := w.devices[int(s.A)%len(w.devices)], w.servers[int(s.A)%len(w.servers)]
	b, c := int(s.B), int(s.C)
	switch s.Kind {
	case Publish:
		d.publish(wire.QoS(b%3), topicOf(s.C))
	case ConnectTo:
		d.connect(w.servers[b%len(w.servers)])
	case Up:
		d.up(b + 1)
	case Down:
		d.down(b + 1)
	case Settle:
		d.settle(1 + b%4)
	case Acknowledge:
		d.acknowledge(b)
	case Subscribe:
		d.subscribe(topics[b%len(topics)], wire.QoS(c%3))
	case Unsubscribe:
		d.unsubscribe(b)
	case Withdraw:
		d.withdraw(b % 4)
	case Cut:
		d.cut(b, c)
	case HalfOpen:
		d.halfOpen(b)
	case Wait:
		w.wait(time.Duration(b*b) * 10 * time.Millisecond)
	case Orphan:
		w.orphan(b, c+1)
	case ServerPublish:
		at.publishOwn(wire.QoS(b%3), topicOf(s.C))
	case ServerAnswer:
		at.answer(1 + b%5)
	case ServerEnd:
		at.hangUp(b)
	case ServerForget:
		at.forget()
	case ServerSave:
		at.save()
	case ServerRestore:
		at.restore()
	case ServerShrink:
		at.shrink(b, c)
	case ServerRefuse:
		at.refusing = 1 + c%3
	case Crash:
		d.crash(b, c)
	case CommitBegin:
		d.beginCommit()
	case Commit:
		d.beginCommit()
		d.endCommit()
		d.collect()
	case Fault:
		if d.disk != nil && !w.healed {
			d.disk.fail(diskFault(b%int(diskFaults)), 1+c%3)
		}
	case Abandon:
		d.connect(w.servers[b%len(w.servers)])
		d.cut(200, 2)
	case LostConnack:
		d.loseConnack(w.servers[b%len(w.servers)], c%3 == 0)
	case Flaky:
		d.flaky(w.servers[b%len(w.servers)], 2+b%14)
	case Burst:
		for range 1 + b%12 {
			at.publishOwn(wire.QoS(c%3), topicOf(s.C))
		}
	case Hammer:
		d.hammer(w.servers[b%len(w.servers)], 2+c%10)
	}
}

// orphan lets n bytes of a connection arrive that its client has given up.
func (w *world) orphan(which, n int) {
	if len(w.orphans) == 0 {
		return
	}
	which %= len(w.orphans)
	p := w.orphans[which]
	p.arriveUp(n)
	w.buryOrphans()
}

func (w *world) buryOrphans() {
	kept := w.orphans[:0]
	for _, p := range w.orphans {
		if !p.serverGone {
			kept = append(kept, p)
		}
	}
	w.orphans = kept
}

// giveUp is how long bytes may be in flight.
const giveUp = 15 * time.Minute

// wait lets time pass, in steps at which somebody has something to do.
func (w *world) wait(total time.Duration) {
	for _, d := range w.devices {
		d.commit()
		d.collect()
	}
	end := w.now.Add(total)
	for n := 0; w.fault == nil; n++ {
		if n > 10000 {
			w.fail("liveness: something is due all the time")
		}
		next := end
		for _, d := range w.devices {
			if due := d.deadline(); !due.IsZero() && due.Before(next) {
				next = due
			}
		}
		if next.After(w.now) {
			w.now = next
		}
		for _, p := range w.orphans {
			if w.now.Sub(p.given) > giveUp {
				p.up = nil
				p.link.end("the network has given up")
			}
		}
		w.buryOrphans()
		for _, d := range w.devices {
			if len(d.outbox) > 0 {
				d.commit() // no disk takes so long
				d.collect()
			}
			d.tick()
		}
		for _, s := range w.servers {
			s.tick()
		}
		if !w.now.Before(end) {
			return
		}
		if w.healed {
			for _, d := range w.devices {
				d.settle(1)
			}
		}
	}
}

// shrunk says whether some server's limits do not allow m.
func (w *world) shrunk(m *message) bool {
	for _, s := range w.servers {
		if s.leastQoS < m.qos {
			return true
		}
	}
	return false
}
