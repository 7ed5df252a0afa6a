package wire

import (
	"bytes"
	"io"
)

// Skim takes the next packet, whatever its size. It waits for all of it and keeps only the
// beginning in head: of a PUBLISH the topic and the packet identifier, of any other packet nothing.
// It is for a packet that Fill or Next has refused with [PacketTooLarge].
func (r *Reader) Skim() (h Header, head []byte, err error) {
	limit := r.limit
	r.limit = 0
	defer func() { r.limit = limit }()
	for {
		h, n, err := r.peek()
		if err != nil {
			return h, nil, err
		}
		want, known := n+2, false // the length of the topic
		if n > 0 {
			want, known = headSize(h, n, r.buffer.unread())
		}
		if b := r.buffer.unread(); known && len(b) >= want {
			head := bytes.Clone(b[n:want])
			return h, head, r.discard(h.Size)
		}
		if err := r.more(want); err != nil {
			return h, nil, err
		}
	}
}

// headSize returns how much of a packet Skim keeps, header included. b are the bytes that have
// arrived, and n is the length of its header. known is false if more of b is needed to tell.
func headSize(h Header, n int, b []byte) (size int, known bool) {
	switch {
	case h.Type != TypePublish:
		return n, true
	case h.Length < 2:
		return h.Size, true
	case len(b) < n+2:
		return n + 2, false
	}
	topic := int(b[n])<<8 | int(b[n+1])
	keep := 2 + topic
	if h.Flags&0x06 != 0 {
		keep += 2 // the packet identifier
	}
	return n + min(h.Length, keep), true
}

// discard reads n bytes and drops them.
func (r *Reader) discard(n int) error {
	for {
		there := min(n, len(r.buffer.unread()))
		r.buffer.start += there
		if n -= there; n == 0 {
			return nil
		}
		if err := r.more(0); err == io.EOF {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
	}
}

// more reads what has arrived of a packet of size bytes.
func (r *Reader) more(size int) error {
	for range maxEmptyReads {
		if r.failed != nil {
			return r.sourceError()
		}
		var n int
		n, r.failed = r.source.Read(r.buffer.space(size))
		if n > 0 {
			r.buffer.wrote(n)
			return nil
		}
	}
	return io.ErrNoProgress
}
