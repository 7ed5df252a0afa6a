package broker

import (
	"context"
)

// idle reports whether nothing waits for the disk.
func (p *persistence) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, tasks := range [][]*task{p.batch, p.tasks} {
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
func (p *persistence) stop(ctx context.Context) (err error) {
	if !p.stores() {
		return nil
	}
	p.stopOnce.Do(func() {
		p.mu.Lock()
		p.stopping = true
		p.mu.Unlock()
		p.signal()
		select {
		case <-p.ended:
			err = p.lost
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		close(p.notices.over)
		<-p.notices.ended
	})
	return err
}
