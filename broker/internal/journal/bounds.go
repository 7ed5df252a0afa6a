package journal

import "context"

// Bytes returns how much memory the tasks need that wait, in bytes.
func (j *Journal) Bytes() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.bytes
}

// Full reports whether nothing more may wait.
func (j *Journal) Full() bool { return j.Stores() && j.Bytes() >= Maximum }

// Behind reports whether something of s waits.
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

// Admit waits until more of s may wait. It returns false when gone is closed or ctx ends.
// If s is nil, what Done has held does not count: whoever has to be told of it must not
// wait for that itself.
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

// Free ends what a task costs whose Done has set Held.
func (j *Journal) Free(t *Task) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held -= t.Cost
	j.giveBackLocked(t)
	j.advanceLocked()
}

// giveBackLocked ends what t costs. Called with j.mu held.
func (j *Journal) giveBackLocked(t *Task) {
	j.bytes -= t.Cost
	if t.Share != nil {
		t.Share.bytes -= t.Cost
	}
}

// advanceLocked wakes those who wait for space. Called with j.mu held.
func (j *Journal) advanceLocked() {
	close(j.progress)
	j.progress = make(chan struct{})
}
