package mqtt

// A queue ends in one of three ways. finishWhenEmpty is that of Drain and Disconnect:
// nothing is added any more, and the queue closes when consumers have handed over what is
// there. cutOff and cutAndKeep are at once: consumers give up what they have not begun.
// cutOff returns the messages that no consumer took; cutAndKeep keeps them for cutOff.

// cutOff closes the queue because of err, at once, and returns the messages that no
// consumer has begun. The caller has to release or dismiss them.
func (q *queue) cutOff(err error) []item {
	q.mu.Lock()
	for _, c := range q.consumers {
		rest := c.restLocked()
		c.out -= len(rest)
		q.out -= len(rest)
		q.putBackLocked(rest)
	}
	rest := q.items[q.head:]
	q.items, q.head, q.lossy, q.firm = nil, 0, load{}, load{}
	q.kept = false
	q.cutLocked(err)
	q.mu.Unlock()
	signal(q.ready)
	return rest
}

// cutAndKeep closes the queue because of err, at once. Messages that no consumer took,
// and those that consumers give back, stay for cutOff to return.
func (q *queue) cutAndKeep(err error) {
	q.mu.Lock()
	q.kept = q.closed == nil
	q.cutLocked(err)
	q.mu.Unlock()
	signal(q.ready)
}

func (q *queue) cutLocked(err error) {
	q.closeLocked(err)
	if !q.isCut.Swap(true) {
		close(q.cut)
	}
}

// finishWhenEmpty lets consumers take what is there and then closes the queue because of
// err, or of what an earlier call has said.
func (q *queue) finishWhenEmpty(err error) {
	q.mu.Lock()
	if q.final == nil {
		q.final = err
		if q.noMore != nil {
			close(q.noMore)
		}
	}
	q.closeIfEmptyLocked()
	q.mu.Unlock()
	signal(q.ready)
	signal(q.space) // the reader does not wait for space that nobody needs
}

// finishing returns a channel that is closed when finishWhenEmpty has been called: nothing is
// added any more. A consumer that waits for more than it has looks at it.
func (q *queue) finishing() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.noMore == nil {
		q.noMore = make(chan struct{})
		if q.final != nil {
			close(q.noMore)
		}
	}
	return q.noMore
}

// closeIfEmptyLocked closes a queue that is final and of which consumers have handed
// over everything.
func (q *queue) closeIfEmptyLocked() {
	if q.final != nil && q.out == 0 && q.head == len(q.items) && q.closed == nil {
		q.closeLocked(q.final)
		signal(q.ready)
	}
}

// closeLocked says that nothing comes out any more, because of err.
func (q *queue) closeLocked(err error) {
	if q.closed == nil {
		q.closed = err
		close(q.over)
		q.progressedLocked()
	}
}

// tellProgress makes the queue tell p of what consumers do from now on.
func (q *queue) tellProgress(p *progress) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.progress = p
}

func (q *queue) progressedLocked() {
	if q.progress != nil {
		q.progress.made()
	}
}

// beginLoop says that a loop takes messages one by one, until endLoop.
func (q *queue) beginLoop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.loops++
}

func (q *queue) endLoop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.loops--
	q.direct = false
	q.progressedLocked()
}

// leftAlone says that whoever took messages one by one has given up waiting for more.
func (q *queue) leftAlone() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.direct = false
	q.progressedLocked()
}

// attended says whether consumers are at work on messages of the queue, or will take
// those that are there. untaken is how many of these are at QoS 1 and 2.
func (q *queue) attended() (busy bool, untaken int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	// Consumers leave when the queue closes. One that is there has something, or will put it
	// into its channel.
	busy = len(q.consumers) > 0 || q.loops > 0 || q.direct && q.head < len(q.items)
	return busy, q.firm.messages
}
