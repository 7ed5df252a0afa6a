package mqtt

import "sync"

// progress wakes Disconnect, which waits for others. Its lock is the last of all.
type progress struct {
	mu   sync.Mutex
	next chan struct{} // closed with the next progress; nil: nobody waits
}

// made says that something has been taken or finished.
func (p *progress) made() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != nil {
		close(p.next)
		p.next = nil
	}
}

// await returns a channel that closes with the next progress. Look at what there is to
// wait for after calling it.
func (p *progress) await() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil {
		p.next = make(chan struct{})
	}
	return p.next
}
