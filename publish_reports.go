package mqtt

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// reports are calls of the program about messages that have ended. Nobody waits for them:
// they come one after the other, on a goroutine that lives while there are some. What
// waits here counts in the publishQueue, which takes no more messages when the program is
// too slow.
type reports struct {
	engine *engine
	forget func(number uint64) // removes a record, under engine.mu; nil: there is no Store
	atOnce int                 // how many calls are made between two uses of the lock

	// Guarded by engine.mu.
	due  []report
	idle chan struct{} // closed when the last call has returned; nil: there was none
}

// report is one call, about a message.
type report struct {
	reporter
	size   int
	number uint64 // of its record, which goes when the call has returned; 0: it has none
}

// reporter makes a call of the program.
type reporter interface{ report() }

func (r *reports) addLocked(next report) {
	r.due = append(r.due, next)
	r.engine.queue.unreported.Add(1, next.size)
	if len(r.due) == 1 {
		r.idle = make(chan struct{})
		go r.run(r.idle)
	}
}

// run makes the calls that are due until there is none, and closes idle then.
func (r *reports) run(idle chan struct{}) {
	defer close(idle)
	var batch []report
	for more := true; more; {
		r.engine.mu.Lock()
		batch = append(batch[:0], r.due[:min(len(r.due), r.atOnce)]...)
		r.engine.mu.Unlock()
		for _, next := range batch {
			next.report()
		}
		r.engine.do(func(*session.Client) { more = r.returnedLocked(batch) })
	}
}

// returnedLocked takes out the calls of batch, which have returned. It says whether there
// are more.
func (r *reports) returnedLocked(batch []report) (more bool) {
	clear(r.due[:len(batch)])
	r.due = r.due[len(batch):]
	for _, next := range batch {
		r.engine.queue.unreported.Add(-1, -next.size)
		if next.number > 0 {
			r.forget(next.number)
		}
	}
	if len(r.due) == 0 {
		r.due = nil
	}
	return r.due != nil
}

// wait waits until no call is due, but not longer than that: the program may wait for us.
func (r *reports) wait(until time.Time) {
	r.engine.mu.Lock()
	idle := r.idle
	r.engine.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}
