package broker

import (
	"context"
)

// idle reports whether nothing waits for the disk.
func (d *disk) idle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, tasks := range [][]*task{d.batch, d.tasks} {
		for _, t := range tasks {
			if t.done != nil {
				return false
			}
		}
	}
	return true
}

// stop commits what is left. When ctx ends first it goes on without waiting: there
// is no way to take a Commit back. Then the goroutine ends with that Commit.
func (d *disk) stop(ctx context.Context) (err error) {
	d.stopOnce.Do(func() {
		d.mu.Lock()
		d.stopping = true
		d.mu.Unlock()
		d.signal()
		select {
		case <-d.ended:
			err = d.lost
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		close(d.notices.over)
		<-d.notices.ended
	})
	return err
}
