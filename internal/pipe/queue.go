package pipe

import (
	"slices"
	"sync"
)

// chunkSize is small enough that a connection with small packets holds one page, and
// large enough that copying takes most of the time.
const chunkSize = 4 << 10

type chunk [chunkSize]byte

// chunks is shared by all connections, so memory depends on the bytes that wait and
// not on the number of connections or their peak.
var chunks = sync.Pool{New: func() any { return new(chunk) }}

// queue is a first-in first-out sequence of bytes in chunks. The zero value is
// empty and holds no memory.
type queue struct {
	chunks []*chunk
	start  int // first unread byte, in chunks[0]
	size   int
}

func (q *queue) len() int { return q.size }

func (q *queue) write(p []byte) {
	for len(p) > 0 {
		end := (q.start + q.size) % chunkSize
		if len(q.chunks)*chunkSize == q.start+q.size {
			q.chunks = append(q.chunks, chunks.Get().(*chunk))
			end = 0
		}
		n := copy(q.chunks[len(q.chunks)-1][end:], p)
		p = p[n:]
		q.size += n
	}
}

// read removes up to len(p) bytes from the front and copies them to p.
func (q *queue) read(p []byte) int {
	total, done := 0, 0
	for total < len(p) && q.size > 0 {
		n := copy(p[total:], q.chunks[done][q.start:min(chunkSize, q.start+q.size)])
		total += n
		q.size -= n
		q.start += n
		if q.start == chunkSize || q.size == 0 {
			chunks.Put(q.chunks[done])
			done++
			q.start = 0
		}
	}
	q.chunks = slices.Delete(q.chunks, 0, done)
	return total
}

func (q *queue) clear() {
	for _, c := range q.chunks {
		chunks.Put(c)
	}
	*q = queue{}
}
