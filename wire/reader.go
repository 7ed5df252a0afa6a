package wire

import "io"

// Reader cuts a byte stream into packets.
//
// A Reader begins with a buffer of 64 bytes, which a small one replaces when a read has filled it. While
// much data arrives, it borrows a large one of 64 KiB and keeps it until a read brings little. A packet
// that is larger gets a buffer that grows with the bytes that really arrive, so a claimed length costs
// nothing. Such a buffer is used again, too, unless it was given away and is not released.
//
// Call Fill, take the packets with Next until there are no more, and repeat. A Reader is for one
// goroutine at a time.
type Reader struct {
	source  io.Reader
	version Version
	limit   int   // largest packet; 0: none
	failed  error // the error that came with the last bytes of the source
	buffer  readBuffer
}

// NewReader returns a Reader that takes packets of version v from r. A packet of more than
// maxPacketSize bytes, header included, is an [*Error] with the reason [PacketTooLarge]; 0 means no
// limit.
func NewReader(r io.Reader, v Version, maxPacketSize int) *Reader {
	return &Reader{source: r, version: v, limit: maxPacketSize}
}

// SetVersion sets the version for packets that are not taken yet. It may be 0 until CONNECT.
func (r *Reader) SetVersion(v Version) { r.version = v }

// SetMaxPacketSize sets the limit for packets that are not taken yet, in bytes. 0 means no limit.
func (r *Reader) SetMaxPacketSize(n int) { r.limit = n }

// Fill blocks until a whole packet is buffered, and returns at once if there is one. It invalidates
// the bodies that were handed out before.
//
// The error is io.EOF if the source ends between two packets, io.ErrUnexpectedEOF if it ends inside one,
// and an [*Error] if the next bytes are not a packet or the packet is too large. Otherwise it is the
// error of the source. Fill may be called again after an error of the source.
func (r *Reader) Fill() error {
	for {
		h, n, err := r.peek()
		if err != nil || n > 0 && h.Size <= len(r.buffer.unread()) {
			return err
		}
		if err := r.more(h.Size); err != nil {
			return err
		}
	}
}

// maxEmptyReads is how often in a row a source may return neither bytes nor an error.
const maxEmptyReads = 100

// Next takes the next whole packet from the buffer, without reading. ok is false if there is none.
// body is valid until the next call of Fill. There is an error if the next header is malformed or
// claims a packet that is too large.
func (r *Reader) Next() (h Header, body []byte, ok bool, err error) {
	h, n, err := r.peek()
	if err != nil || n == 0 || h.Size > len(r.buffer.unread()) {
		return Header{}, nil, false, err
	}
	return h, r.buffer.take(h.Size)[n:], true, nil
}

// Buffered returns the bytes that were read and not taken yet. They are valid until the next call of
// Fill and must not be changed.
func (r *Reader) Buffered() []byte { return r.buffer.unread() }

// Detach gives away the buffer that holds the bodies handed out since the last Fill. They stay valid until
// the buffer is released, and the reader continues in another buffer. ok is false if the bodies are in the
// small buffer, which stays with the reader; they are few then and can be copied. Call Detach at most once
// between two calls of Fill.
func (r *Reader) Detach() (b Buffer, ok bool) { return r.buffer.detach() }

// Detached reports whether the packets that follow still lie in the buffer that Detach has given away.
func (r *Reader) Detached() bool { return r.buffer.detached }

// Buffer is memory that a [Reader] has given away.
type Buffer struct {
	owner  *readBuffer
	pooled *[largeBuffer]byte // nil: it was made for a packet
	made   []byte             // for a packet, and nothing of it is unread; nil: it is another
	size   int
}

// Size returns how many bytes of memory the buffer holds.
func (b Buffer) Size() int { return b.size }

// Release returns the memory, once, when the bodies are no longer used.
func (b Buffer) Release() {
	switch {
	case b.pooled != nil:
		b.owner.release(b.pooled)
	case b.made != nil:
		recycle(b.made)
	}
}

// ReadPacket returns the next packet, and waits for it if necessary. body is valid until the next call.
func (r *Reader) ReadPacket() (Header, []byte, error) {
	if err := r.Fill(); err != nil {
		return Header{}, nil, err
	}
	h, body, _, err := r.Next()
	return h, body, err
}

// peek parses the header of the next packet. n is 0 if it has not arrived yet.
func (r *Reader) peek() (h Header, n int, err error) {
	h, n, err = ParseHeader(r.buffer.unread(), r.version)
	if err == nil && r.limit > 0 && h.Size > r.limit { // [MQTT-3.1.2-24]
		return h, n, &Error{Packet: h.Type, Reason: PacketTooLarge, Detail: "larger than the maximum packet size"}
	}
	return h, n, err
}

// sourceError returns the error of the source, once. Inside a packet io.EOF becomes
// io.ErrUnexpectedEOF.
func (r *Reader) sourceError() error {
	err := r.failed
	r.failed = nil
	if err == io.EOF && len(r.buffer.unread()) > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
