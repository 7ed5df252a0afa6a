package pipe

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// stream is one direction of a connection.
type stream struct {
	mu       sync.Mutex // guards everything below; held while bytes are copied, never while waiting
	readable sync.Cond
	writable sync.Cond

	queue queue
	limit int
	total int64 // bytes that were written

	writing      bool // a Write is under way; the next one waits
	writerClosed bool
	readerClosed bool

	readDeadline  deadline
	writeDeadline deadline
}

func newStream(limit int) *stream {
	s := &stream{limit: limit}
	s.readable.L = &s.mu
	s.writable.L = &s.mu
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readerClosed:
			return 0, net.ErrClosed
		case s.readDeadline.expired:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case s.queue.len() > 0:
			n := s.queue.read(p)
			s.writable.Broadcast()
			return n, nil
		case s.writerClosed:
			return 0, io.EOF
		}
		s.readable.Wait()
	}
}

// write writes all of p. If some is set, it writes as much as fits as soon as there
// is space for one byte.
func (s *stream) write(p []byte, some bool) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writing {
		if err := s.writeError(); err != nil {
			return 0, err
		}
		s.writable.Wait()
	}
	// This is a flag and not a second mutex, because waiting for a mutex is not
	// durable blocking and cannot end at a deadline.
	s.writing = true
	defer func() {
		s.writing = false
		s.writable.Broadcast()
	}()

	written := 0
	for {
		if err := s.writeError(); err != nil {
			return written, err
		}
		if space := s.limit - s.queue.len(); space > 0 {
			n := min(space, len(p)-written)
			s.queue.write(p[written : written+n])
			written += n
			s.total += int64(n)
			s.readable.Broadcast()
		}
		if written == len(p) || some && written > 0 {
			return written, nil
		}
		s.writable.Wait()
	}
}

// writeError returns why the writer cannot continue, or nil.
func (s *stream) writeError() error {
	switch {
	case s.writerClosed:
		return net.ErrClosed
	case s.writeDeadline.expired:
		return os.ErrDeadlineExceeded
	case s.readerClosed:
		return io.ErrClosedPipe
	}
	return nil
}

func (s *stream) unread() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.len()
}

func (s *stream) arrived() (bytes int64, unread int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total, s.queue.len()
}

func (s *stream) closeWriter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writerClosed = true
	s.writeDeadline.stop()
	s.wake()
}

func (s *stream) closeReader() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readerClosed = true
	s.readDeadline.stop()
	s.queue.clear()
	s.wake()
}

func (s *stream) setReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readerClosed {
		return net.ErrClosed
	}
	s.readDeadline.set(s, t)
	return nil
}

func (s *stream) setWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writerClosed {
		return net.ErrClosed
	}
	s.writeDeadline.set(s, t)
	return nil
}

func (s *stream) wake() {
	s.readable.Broadcast()
	s.writable.Broadcast()
}

// deadline turns a point in time into a flag that the waiting loops check. The mutex
// of its stream guards it.
type deadline struct {
	at      time.Time
	expired bool
	timer   *time.Timer // made once, then reset: deadlines are set on every write
}

func (d *deadline) set(s *stream, t time.Time) {
	d.stop()
	d.at, d.expired = t, false
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	switch {
	case left <= 0:
		d.expired = true
		s.wake()
	case d.timer == nil:
		d.timer = time.AfterFunc(left, func() { d.fire(s) })
	default:
		d.timer.Reset(left)
	}
}

func (d *deadline) stop() {
	d.at = time.Time{}
	if d.timer != nil {
		d.timer.Stop()
	}
}

// fire runs on the timer's goroutine. Stop does not cancel a call that has already
// begun, so the deadline may have moved since.
func (d *deadline) fire(s *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.at.IsZero() {
		return
	}
	if left := time.Until(d.at); left > 0 {
		d.timer.Reset(left)
		return
	}
	d.expired = true
	s.wake()
}
