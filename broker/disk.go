package broker

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/store"
)

const (
	// lazyDelay is how long what nobody waits for may take to the disk. Most of it goes
	// with something else before.
	lazyDelay = 200 * time.Millisecond
	// retryDelay is when something that has to be written is tried again.
	retryDelay = time.Second
	// clockInterval is how often the disk is told that the broker is still there, while
	// a session on it has a connection.
	clockInterval = time.Minute
	// gatherMaximum bounds the memory of what waits for the disk, and shareMaximum that
	// of one publisher.
	gatherMaximum = 64 << 20
	shareMaximum  = 4 << 20
)

// disk is the way to Config.Store. What has to be durable becomes a task. One
// goroutine takes all tasks that have gathered, commits them together and then does
// what waited for them. It holds no lock meanwhile.
type disk struct {
	b       *Broker
	store   store.Store
	rouse   chan struct{} // has room for one
	ended   chan struct{} // closed when the goroutine is done
	message atomic.Uint64 // the number of the last message
	ledgers
	notices notices

	// Of the goroutine.
	ops     []store.Op
	router  router
	failing bool  // the last Commit failed
	lost    error // of the last Commit; set before ended is closed

	gathered
	stopOnce sync.Once
}

// gathered is what waits for the next Commit.
type gathered struct {
	mu       sync.Mutex // guards the rest; a leaf
	tasks    []*task
	batch    []*task                  // on their way
	bytes    int                      // that tasks cost
	telling  int                      // of these, what observers have yet to be told
	erasing  map[string]int           // sessions that the disk has yet to forget, by client identifier
	entering map[string]chan struct{} // clients that enter, by client identifier; closed then
	progress chan struct{}            // closed when tasks are done
	timer    *time.Timer              // rouses; nil: not needed yet
	armed    bool
	stopping bool
}

// task is what is committed as a whole, and what follows then.
type task struct {
	ops      []store.Op
	keep     bool        // is tried until it succeeds, as there is nobody to tell
	whole    bool        // its removals have no meaning without the rest
	client   *client     // publisher, whose messages stay in order; nil: does not matter
	conn     *conn       // of a message; if it has to end, what comes behind is refused; nil: none
	cost     int         // bytes of memory
	unwanted atomic.Bool // nobody waits any more; it is given up unless it is on its way
	ledger   uint64      // the first begin that has its changes; 0: has none that may be taken back
	done     func(error) // nil: nothing follows. It runs on the disk's goroutine
	told     bool        // observers are told, and the memory is needed until then
}

func newDisk(b *Broker, s store.Store) *disk {
	return &disk{
		b:        b,
		store:    s,
		rouse:    make(chan struct{}, 1),
		ended:    make(chan struct{}),
		gathered: gathered{progress: make(chan struct{}), erasing: make(map[string]int), entering: make(map[string]chan struct{})},
		notices:  newNotices(),
	}
}

// start lets the goroutines run.
func (d *disk) start() {
	go d.run()      // stop waits for it
	go d.announce() // and for it
}

// add gathers a task that somebody waits for.
func (d *disk) add(t *task) {
	t.cost += taskCost + costOf(t.ops)
	d.mu.Lock()
	d.gather(t)
	d.mu.Unlock()
	d.signal()
}

const (
	taskCost      = 256 // what a task needs beside its operations
	operationCost = 64  // what an operation needs beside its key and value
)

func (d *disk) gather(t *task) {
	d.tasks = append(d.tasks, t)
	d.bytes += t.cost
	if cl := t.client; cl != nil {
		cl.waiting.tasks++
		cl.waiting.bytes += t.cost
	}
}

// later gathers operations that nobody waits for and that are not given up.
func (d *disk) later(ops ...store.Op) {
	if len(ops) == 0 {
		return
	}
	cost := costOf(ops)
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.tasks); n > 0 && d.tasks[n-1].keep && d.tasks[n-1].done == nil {
		t := d.tasks[n-1]
		t.ops = append(t.ops, ops...)
		t.cost += cost
		d.bytes += cost
	} else {
		d.gather(&task{ops: ops, keep: true, cost: cost})
	}
	d.arm(lazyDelay)
}

// arm rouses the goroutine in a while; d.mu is held.
func (d *disk) arm(delay time.Duration) {
	if d.armed {
		return
	}
	d.armed = true
	if d.timer == nil {
		d.timer = time.AfterFunc(delay, d.signal)
	} else {
		d.timer.Reset(delay)
	}
}

func (d *disk) signal() {
	select {
	case d.rouse <- struct{}{}:
	default:
	}
}

// run commits until stop.
func (d *disk) run() {
	defer close(d.ended)
	clock := time.NewTicker(clockInterval)
	defer clock.Stop()
	for {
		select {
		case <-d.rouse:
			runtime.Gosched() // publishers that can run add what they have
		case <-clock.C:
			d.tick()
		}
		if d.work() {
			d.timer.Stop()
			return
		}
	}
}

// tick records that the broker is there, if a session depends on it.
func (d *disk) tick() {
	d.b.mu.RLock()
	needed := false
	for _, cl := range d.b.clients {
		needed = needed || cl.lasting.Load() && cl.online.Load()
	}
	d.b.mu.RUnlock()
	if needed {
		d.later(store.Op{Key: recordKey(clockRecord), Value: clockValue(time.Now())})
	}
}

// work commits what has gathered. It returns true when that was the last.
func (d *disk) work() (last bool) {
	for {
		d.mu.Lock()
		batch, stopping := d.tasks, d.stopping
		d.batch, d.tasks = batch, nil
		d.disarm()
		d.mu.Unlock()
		batch, doomed := divide(batch, (*task).doomed)
		batch, late := divide(batch, func(t *task) bool { return t.ledger > 0 && t.ledger <= d.refused })
		refusal := d.refusal
		err := d.commit(batch)
		again := d.conclude(batch, err)
		if len(doomed) > 0 {
			again = d.conclude(doomed, errGone)
		}
		if len(late) > 0 {
			// What they changed went to the disk before them, and was taken back.
			again = d.conclude(late, refusal)
		}
		if !stopping {
			return false
		}
		if !again || err != nil {
			d.lost = err
			return true
		}
	}
}

// doomed reports whether nobody wants t any more, or t is a message of a connection that
// ends because one before it was not stored. Those all come again, in their order.
func (t *task) doomed() bool {
	return t.unwanted.Load() || t.conn != nil && t.conn.signals.failure.Load() != nil
}

// divide picks out the tasks that are lost.
func divide(batch []*task, is func(*task) bool) (left, lost []*task) {
	if !slices.ContainsFunc(batch, is) {
		return batch, nil
	}
	for _, t := range batch {
		if is(t) {
			lost = append(lost, t)
		} else {
			left = append(left, t)
		}
	}
	return left, lost
}

// disarm ends the waiting of arm; d.mu is held.
func (d *disk) disarm() {
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Hour, d.signal)
	}
	d.timer.Stop()
	d.armed = false
}

// commit writes the operations of all tasks, and what the ledgers have, as one.
func (d *disk) commit(batch []*task) error {
	ops := d.ops[:0]
	for _, t := range batch {
		ops = append(ops, t.ops...)
	}
	ops = d.beginLedgers(ops)
	var err error
	if len(ops) > 0 {
		err = d.store.Commit(ops)
		d.count(err)
	}
	d.endLedgers(err)
	clear(ops)
	d.ops = ops[:0]
	if cap(ops) > opsMaximum {
		d.ops = nil
	}
	return err
}

// opsMaximum is how much room for operations is kept between commits.
const opsMaximum = 4096

// count logs the first failure of a row, and its end.
func (d *disk) count(err error) {
	if err == nil {
		d.b.counts.commits.Add(1)
		if d.failing {
			d.b.cfg.Logger.Info("store works again")
		}
	} else {
		d.b.counts.commitErrors.Add(1)
		if !d.failing {
			d.b.cfg.Logger.Error("store failed", "error", err)
		}
	}
	d.failing = err != nil
}

// conclude does what waited for the tasks. It reports whether there are more.
func (d *disk) conclude(batch []*task, err error) (more bool) {
	var again []*task
	over := batch
	if err != nil {
		over, again = d.relieve(batch)
	}
	for _, t := range over {
		switch {
		case t.done == nil:
		case t.keep:
			t.done(nil)
		default:
			t.done(err)
		}
	}
	d.router.flush()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range over {
		if t.client != nil {
			t.client.waiting.tasks--
		}
		if t.told {
			d.telling += t.cost
		} else {
			d.giveBack(t)
		}
	}
	d.batch = nil
	if len(again) > 0 {
		d.tasks = append(again, d.tasks...)
	}
	if err != nil {
		d.armed = false
		d.arm(retryDelay)
	}
	d.advance()
	return len(d.tasks) > 0
}
