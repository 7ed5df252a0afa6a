package wire

import "io"

// Reader cuts a byte stream into packets.
//
// A reader begins with a tiny buffer, and has a small one once that was too tiny. While a lot arrives it borrows a large one of 64 KiB, which it
// keeps until a read brings little. A packet that is larger still gets a buffer that grows with the
// bytes that really arrive, so that a length that is only claimed costs nothing.
//
// Call Fill, take what is there with Next until there is no more, and begin again. A Reader is for one
// goroutine at a time.
type Reader struct {
	source  io.Reader
	version Version
	limit   int   // largest packet; 0: none
	failed  error // came with the last bytes of the source
	buffer  readBuffer
}

// NewReader returns a Reader that takes packets of version v from r. A packet of more than
// maxPacketSize bytes, header included, is an [*Error] with the reason [PacketTooLarge]; 0 means no
// limit.
func NewReader(r io.Reader, v Version, maxPacketSize int) *Reader {
	return &Reader{source: r, version: v, limit: maxPacketSize}
}

// SetVersion sets the version for the packets that are not yet taken. It may be 0 up to the CONNECT.
func (r *Reader) SetVersion(v Version) { r.version = v }

// SetMaxPacketSize sets the limit for the packets that are not yet taken. 0 means no limit.
func (r *Reader) SetMaxPacketSize(n int) { r.limit = n }

// Fill blocks until a whole packet is buffered, and returns at once if one is. The bodies handed out
// before are no longer valid.
//
// The error is io.EOF when the source ends between two packets, io.ErrUnexpectedEOF when it ends
// inside one, an [*Error] when what comes next is no packet or one that is too large, and otherwise what
// the source returned. After an error of the source it may be called again.
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

// maxEmptyReads is how often a source may return nothing and no error.
const maxEmptyReads = 100

// Next takes the next whole packet that is buffered, without reading. ok is false if there is none.
// body is valid until the next call of Fill. The error is that of a header that is no packet's or
// claims a packet that is too large.
func (r *Reader) Next() (h Header, body []byte, ok bool, err error) {
	h, n, err := r.peek()
	if err != nil || n == 0 || h.Size > len(r.buffer.unread()) {
		return Header{}, nil, false, err
	}
	return h, r.buffer.take(h.Size)[n:], true, nil
}

// Buffered returns the bytes that were read and are not taken yet. They are valid until the next call of
// Fill and must not be changed.
func (r *Reader) Buffered() []byte { return r.buffer.unread() }

// Detach gives away the buffer in which the bodies lie that were handed out since the last Fill: they stay
// valid until the buffer is released, and the reader goes on in another one. ok is false if they lie in
// the small buffer of an idle reader, which stays; then they are few and can be copied. It may be
// called once between two calls of Fill.
func (r *Reader) Detach() (b Buffer, ok bool) { return r.buffer.detach() }

// Buffer is memory that a [Reader] has given away.
type Buffer struct {
	owner  *readBuffer
	pooled *[largeBuffer]byte // nil: it was made for a large packet
	size   int
}

// Size returns how many bytes of memory are kept from further use.
func (b Buffer) Size() int { return b.size }

// Release gives the memory back, once, when nobody looks at the bodies any more.
func (b Buffer) Release() {
	if b.pooled != nil {
		b.owner.release(b.pooled)
	}
}

// ReadPacket returns the next packet, for which it waits if need be. body is valid until the next call.
func (r *Reader) ReadPacket() (Header, []byte, error) {
	if err := r.Fill(); err != nil {
		return Header{}, nil, err
	}
	h, body, _, err := r.Next()
	return h, body, err
}

// peek parses the header of the next packet. n is 0 if it is not there yet.
func (r *Reader) peek() (h Header, n int, err error) {
	h, n, err = ParseHeader(r.buffer.unread(), r.version)
	if err == nil && r.limit > 0 && h.Size > r.limit { // [MQTT-3.1.2-24]
		return h, n, &Error{Packet: h.Type, Reason: PacketTooLarge, Detail: "larger than the maximum packet size"}
	}
	return h, n, err
}

// sourceError returns the error of the source, once, in terms of packets.
func (r *Reader) sourceError() error {
	err := r.failed
	r.failed = nil
	if err == io.EOF && len(r.buffer.unread()) > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
