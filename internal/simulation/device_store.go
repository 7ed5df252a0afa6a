package simulation

import (
	"errors"
	"strings"

	"github.com/seed65a45251/mqtt/internal/durable"
	"github.com/seed65a45251/mqtt/session"
)

// stored is what a client with a Store has besides.
type stored struct {
	disk    *disk // nil: the client has no Store
	journal *durable.Journal
	batch   *durable.Batch // that is being committed

	homeAt     uint64 // what has to be committed for the next process to know home
	before     *keep  // what it knows otherwise
	keptBefore bool

	begun, ended int // numbers the commits

	blurred bool // a record of a received message was damaged
}

// chunk is bytes that were taken and may not be written before everything up to position is
// committed.
type chunk struct {
	bytes    []byte
	position uint64
}

// mayWrite says whether everything is committed that bytes wait for.
func (d *device) mayWrite(position uint64) bool {
	return d.disk == nil || position <= d.journal.Committed()
}

func (d *device) position() uint64 {
	if d.disk == nil {
		return 0
	}
	return d.journal.Position()
}

// openStore begins a process with what the last one has left.
func (d *device) openStore() *durable.Journal {
	if d.disk == nil {
		return nil
	}
	d.disk.reopen()
	durable.WindowMessages = max(2, d.w.schedule.Setup.Window)
	j, err := durable.Open(d.disk, d.name)
	if err != nil {
		d.w.fail("%s cannot open its store: %w", d.name, err)
	}
	d.batch = nil
	return j
}

// attach gives the engine what the last process has left, and checks that nothing is missing.
func (d *device) attach(damaged string) {
	if d.disk == nil {
		return
	}
	if n := d.journal.Damaged(); n > 0 != (damaged != "") {
		d.w.fail("%s finds %d damaged records, and damaged is %q", d.name, n, damaged)
	}
	d.journal.Attach(d.engine, durable.Owner{New: func() *session.Outgoing { return new(session.Outgoing) }})
	last := d.published
	d.published = nil
	there := make(map[*message]*session.Outgoing)
	for _, o := range d.engine.Sender.Incomplete(nil) {
		if m := d.w.byPayload[string(o.Publish.Payload)]; m != nil {
			there[m] = o
		}
	}
	for at, end := uint64(0), d.engine.Sender.LastSeq(); at <= end; {
		line := d.journal.Look(at, end)
		line.Read(d.disk)
		for _, p := range line.Found() {
			if m := d.w.byPayload[string(p.Payload)]; there[m] == nil {
				there[m] = nil
			}
		}
		at = line.End()
	}
	for _, m := range last {
		o, found := there[m]
		switch {
		case found && m.withdrawn && m.refusal != nil:
			d.w.fail("the store has refused %s and has it", m.payload)
		case found && m.ended > 0 && m.endedIn <= d.ended:
			d.w.fail("%s has ended, and the store has it all the same", m.payload)
		case found: // perhaps it had ended, or was taken back, and the disk does not know
			m.withdrawn, m.refusal = false, nil
			m.outgoing, m.entry, m.accepted = o, nil, true
			m.ended, m.err, m.again = 0, nil, m.ended > 0
			m.orphaned, m.recovered = false, true
			d.published = append(d.published, m)
		case m.ended > 0 || m.withdrawn:
		case m.accepted && m.durable && !m.exempt:
			d.w.fail("lost: %s was accepted and is not in the store", m.payload)
		default:
			m.orphaned, m.exposed = true, true
		}
	}
}

// accept publishes m through the Store.
func (d *device) accept(m *message) {
	o := m.outgoing
	m.durable = m.qos > 0 && !m.notStored
	if !m.durable && !d.journal.Behind() {
		m.accepted = true
		d.engine.Sender.Submit(o, d.w.now)
		return
	}
	var record []byte
	if m.durable {
		var err error
		if record, err = durable.EncodeMessage(&o.Publish, o.Expiry(), d.w.now); err != nil {
			d.w.fail("%s: %w", m.payload, err)
		}
	}
	m.entry = &durable.Entry{Out: o, Done: func(err error) {
		if m.accepted, m.refusal = err == nil, err; err == nil {
			return
		}
		d.w.note("%s: the store refuses %s: %v", d.name, m.payload, err)
		if _, unclear := errors.AsType[*durable.UnclearError](err); !unclear {
			m.withdrawn = true
		}
	}}
	d.journal.Accept(m.entry, record, d.w.now)
}

// beginCommit takes what has gathered.
func (d *device) beginCommit() {
	if d.disk != nil && d.batch == nil {
		if d.batch = d.journal.Take(); d.batch != nil {
			d.begun++
		}
	}
}

// endCommit writes it. When the Store fails, the connection ends.
func (d *device) endCommit() (ok bool) {
	if d.disk == nil {
		return true
	}
	if b := d.batch; b != nil {
		d.batch = nil
		b.Commit(d.disk)
		err := d.journal.Settle(b, d.w.now)
		d.w.note("%s: commit: %v", d.name, err)
		if ok = err == nil; ok {
			d.ended = d.begun
		} else {
			d.drop(nil, 1<<20)
		}
	}
	if block := d.journal.NextBlock(); block != nil {
		block.Read(d.disk)
		if err := d.journal.Refill(block, d.w.now); err != nil {
			d.w.fail("%s: %w", d.name, err)
		}
		d.engine.Sender.Pump(d.w.now)
	}
	d.harvest()
	return ok
}

// commit writes everything, unless the Store fails.
func (d *device) commit() {
	for range 100 {
		if d.disk == nil || d.w.fault != nil {
			return
		}
		if d.beginCommit(); d.batch == nil && !d.journal.Hungry() {
			return
		}
		if d.batch != nil && !d.endCommit() {
			return
		} else if d.batch == nil {
			d.endCommit()
		}
	}
	d.w.fail("liveness: %s has always more to commit", d.name)
}

// kill ends the process: what is being committed may be on the disk or not.
func (d *device) kill(committed bool, damage, how int) (damaged string) {
	if d.disk == nil {
		return ""
	}
	was := ""
	if d.batch != nil && committed {
		d.batch.Commit(d.disk)
	}
	if d.journal.Committed() < d.homeAt {
		d.home, d.kept = d.before, d.keptBefore
	}
	if d.journal.Committed() < d.journal.Position() {
		for _, s := range d.w.servers {
			d.doubt[s] = true
		}
	}
	for s := range d.eraser {
		d.doubt[s] = true
	}
	d.homeAt = 0
	if damage > 0 {
		d.disk.reopen()
		damaged, was = d.disk.damage(damage, how)
		d.w.note("%s: record %q is damaged", d.name, damaged)
	}
	if damaged == "" {
		return ""
	}
	d.blurred = d.blurred || strings.HasPrefix(damaged, "Cr")
	for _, m := range d.published {
		if !strings.HasPrefix(damaged, "Cm") || strings.Contains(was, m.payload) {
			m.exempt, m.exposed = true, true
		}
	}
	return damaged
}
