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

// persistence is the way to Config.Store. What has to be stored becomes a task. One
// goroutine takes all tasks that have gathered, commits them together and then does
// what waited for them. It holds no lock meanwhile. Without a Store nothing is durable:
// nobody has anything to commit, nothing waits and nothing runs.
type persistence struct {
	b       *Broker
	store   store.Store
	wake    chan struct{} // has room for one
	ended   chan struct{} // closed when the goroutine is done
	message atomic.Uint64 // the number of the last message
	changes *changes
	notices notices

	// Of the goroutine.
	ops     []store.Op
	router  router
	failing bool  // the last Commit failed
	lost    error // of the last Commit; set before ended is closed

	gathered
	stopOnce sync.Once
}

// stores reports whether there is a Store.
func (p *persistence) stores() bool { return p.store != nil }

// gathered is what waits for the next Commit.
type gathered struct {
	mu       sync.Mutex // guards the rest; a leaf
	tasks    []*task
	batch    []*task       // on their way
	bytes    int           // that tasks cost
	telling  int           // of these, what observers have yet to be told
	progress chan struct{} // closed when tasks are done
	timer    *time.Timer   // rouses; nil: not needed yet
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

// newPersistence makes the way to s, which may be nil.
func newPersistence(b *Broker, s store.Store) *persistence {
	return &persistence{
		b:        b,
		store:    s,
		wake:     make(chan struct{}, 1),
		ended:    make(chan struct{}),
		changes:  &b.changes,
		gathered: gathered{progress: make(chan struct{})},
		notices:  newNotices(),
	}
}

// start lets the goroutines run.
func (p *persistence) start() {
	go p.run()      // stop waits for it
	go p.announce() // and for it
}

// add gathers a task that somebody waits for.
func (p *persistence) add(t *task) {
	t.cost += taskCost + costOf(t.ops)
	p.mu.Lock()
	p.gather(t)
	p.mu.Unlock()
	p.signal()
}

const (
	taskCost      = 256 // what a task needs beside its operations
	operationCost = 64  // what an operation needs beside its key and value
)

func (p *persistence) gather(t *task) {
	p.tasks = append(p.tasks, t)
	p.bytes += t.cost
	if cl := t.client; cl != nil {
		cl.waiting.tasks++
		cl.waiting.bytes += t.cost
	}
}

// later gathers operations that nobody waits for and that are not given up.
func (p *persistence) later(ops ...store.Op) {
	if len(ops) == 0 {
		return
	}
	cost := costOf(ops)
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.tasks); n > 0 && p.tasks[n-1].keep && p.tasks[n-1].done == nil {
		t := p.tasks[n-1]
		t.ops = append(t.ops, ops...)
		t.cost += cost
		p.bytes += cost
	} else {
		p.gather(&task{ops: ops, keep: true, cost: cost})
	}
	p.arm(lazyDelay)
}

// rouse wakes the writer of c when the tasks that are committed are concluded. It is
// for what they do.
func (p *persistence) rouse(c *conn) { p.router.dirty = append(p.router.dirty, c) }

// soon wakes the goroutine for what nobody waits for.
func (p *persistence) soon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arm(lazyDelay)
}

// arm rouses the goroutine in a while; p.mu is held.
func (p *persistence) arm(delay time.Duration) {
	if p.armed {
		return
	}
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(delay, p.signal)
	} else {
		p.timer.Reset(delay)
	}
}

func (p *persistence) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// next returns the first change of retained messages and subscriptions that has what is
// changed from now on.
func (p *persistence) next() uint64 { return p.changes.begins.Load() + 1 }

// run commits until stop.
func (p *persistence) run() {
	defer close(p.ended)
	clock := time.NewTicker(clockInterval)
	defer clock.Stop()
	for {
		select {
		case <-p.wake:
			runtime.Gosched() // publishers that can run add what they have
		case <-clock.C:
			p.tick()
		}
		if p.work() {
			p.timer.Stop()
			return
		}
	}
}

// tick records that the broker is there, if a session depends on it.
func (p *persistence) tick() {
	p.b.mu.RLock()
	needed := false
	for _, cl := range p.b.clients {
		needed = needed || cl.durable.Load() && cl.online.Load()
	}
	p.b.mu.RUnlock()
	if needed {
		p.later(store.Op{Key: recordKey(clockRecord), Value: clockValue(time.Now())})
	}
}

// work commits what has gathered. It returns true when that was the last.
func (p *persistence) work() (last bool) {
	for {
		p.mu.Lock()
		batch, stopping := p.tasks, p.stopping
		p.batch, p.tasks = batch, nil
		p.disarm()
		p.mu.Unlock()
		batch, doomed := divide(batch, (*task).doomed)
		batch, late := divide(batch, func(t *task) bool { return t.ledger > 0 && t.ledger <= p.changes.refused })
		refusal := p.changes.refusal
		err := p.commit(batch)
		again := p.conclude(batch, err)
		if len(doomed) > 0 {
			again = p.conclude(doomed, errGone)
		}
		if len(late) > 0 {
			// What they changed went to the disk before them, and was taken back.
			again = p.conclude(late, refusal)
		}
		if !stopping {
			return false
		}
		if !again || err != nil {
			p.lost = err
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

// disarm ends the waiting of arm; p.mu is held.
func (p *persistence) disarm() {
	if p.timer == nil {
		p.timer = time.AfterFunc(time.Hour, p.signal)
	}
	p.timer.Stop()
	p.armed = false
}

// commit writes the operations of all tasks, and what the ledgers have, as one.
func (p *persistence) commit(batch []*task) error {
	ops := p.ops[:0]
	for _, t := range batch {
		ops = append(ops, t.ops...)
	}
	ops = p.changes.begin(ops)
	var err error
	if len(ops) > 0 {
		err = p.store.Commit(ops)
		p.count(err)
	}
	p.changes.end(err)
	clear(ops)
	p.ops = ops[:0]
	if cap(ops) > opsMaximum {
		p.ops = nil
	}
	return err
}

// opsMaximum is how much room for operations is kept between commits.
const opsMaximum = 4096

// count logs the first failure of a row, and its end.
func (p *persistence) count(err error) {
	if err == nil {
		p.b.counts.commits.Add(1)
		if p.failing {
			p.b.cfg.Logger.Info("store works again")
		}
	} else {
		p.b.counts.commitErrors.Add(1)
		if !p.failing {
			p.b.cfg.Logger.Error("store failed", "error", err)
		}
	}
	p.failing = err != nil
}

// conclude does what waited for the tasks. It reports whether there are more.
func (p *persistence) conclude(batch []*task, err error) (more bool) {
	var again []*task
	over := batch
	if err != nil {
		over, again = p.relieve(batch)
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
	p.router.flush()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range over {
		if t.client != nil {
			t.client.waiting.tasks--
		}
		if t.told {
			p.telling += t.cost
		} else {
			p.giveBack(t)
		}
	}
	p.batch = nil
	if len(again) > 0 {
		p.tasks = append(again, p.tasks...)
	}
	if err != nil {
		p.armed = false
		p.arm(retryDelay)
	}
	p.advance()
	return len(p.tasks) > 0
}
