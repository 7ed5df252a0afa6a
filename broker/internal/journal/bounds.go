package journal

import "context"

// Bytes returns the memory of the tasks that wait, in bytes.
func (j *Journal) Bytes() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.bytes
}

// Full reports whether no further task may wait.
func (j *Journal) Full() bool { return j.Stores() && j.Bytes() >= Maximum }

// Behind reports whether a task of s waits.
func (j *Journal) Behind(s *Share) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return s.tasks > 0
}

// MustWait reports whether Admit would have to wait.
func (j *Journal) MustWait(s *Share) bool {
	if !j.Stores() {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.admitsLocked(s)
}

// Admit waits until another task of s may wait. It returns false when gone is closed or
// ctx ends first. If s is nil, the memory that Done has marked as Held does not count:
// the goroutine that frees that memory must not wait for it.
func (j *Journal) Admit(ctx context.Context, s *Share, gone <-chan struct{}) bool {
	for {
		j.mu.Lock()
		admitted, progress := j.admitsLocked(s), j.progress
		j.mu.Unlock()
		if admitted {
			return true
		}
		select {
		case <-progress:
		case <-gone:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// admitsLocked reports whether Admit need not wait.
func (j *Journal) admitsLocked(s *Share) bool {
	if s == nil {
		return j.bytes-j.held < Maximum
	}
	return j.bytes < Maximum && s.bytes < ShareMaximum
}

// Free releases the memory of a task whose Done has set Held.
func (j *Journal) Free(t *Task) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held -= t.Cost
	j.giveBackLocked(t)
	j.advanceLocked()
}

// giveBackLocked subtracts the cost of t. Called with j.mu held.
func (j *Journal) giveBackLocked(t *Task) {
	j.bytes -= t.Cost
	if t.Share != nil {
		t.Share.bytes -= t.Cost
	}
}

// advanceLocked wakes the goroutines that wait for space. Called with j.mu held.
func (j *Journal) advanceLocked() {
	close(j.progress)
	j.progress = make(chan struct{})
}
