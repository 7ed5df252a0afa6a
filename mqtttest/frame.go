package mqtttest

import (
	"bytes"
	"io"
	"net"

	"github.com/seed65a45251/mqtt/wire"
)

const (
	readSize = 16 << 10
	// frameMaximum is the largest packet that is handled as one. From a larger packet
	// on the stream is passed on as bytes.
	frameMaximum = 64 << 20
)

// framer splits the stream of one side into packets. It keeps their bytes as they
// were encoded.
type framer struct {
	src    net.Conn
	buf    []byte // bytes that were read and not taken yet
	opaque bool   // the rest of the stream is passed on as bytes
	err    error  // the error that the source ended with
}

// frame is a packet, or bytes that are not a packet: then its header is zero.
type frame struct {
	header wire.Header
	raw    []byte // owned by the frame
	body   []byte // part of raw
}

// next returns the next frame. Bytes come before the error that followed them.
func (f *framer) next(v wire.Version) (frame, error) {
	for {
		if fr, ok := f.take(v); ok {
			return fr, nil
		}
		if f.err != nil {
			if len(f.buf) > 0 && f.err == io.EOF {
				return f.rest(), nil // half a packet
			}
			return frame{}, f.err
		}
		f.fill()
	}
}

func (f *framer) take(v wire.Version) (frame, bool) {
	if len(f.buf) == 0 {
		return frame{}, false
	}
	if f.opaque {
		return f.rest(), true
	}
	h, n, err := wire.ParseHeader(f.buf, v)
	if err != nil || n > 0 && h.Size > frameMaximum {
		f.opaque = true
		return f.rest(), true
	}
	if n == 0 || h.Size > len(f.buf) {
		return frame{}, false
	}
	raw := bytes.Clone(f.buf[:h.Size])
	f.buf = f.buf[:copy(f.buf, f.buf[h.Size:])]
	return frame{header: h, raw: raw, body: raw[n:]}, true
}

func (f *framer) rest() frame {
	raw := bytes.Clone(f.buf)
	f.buf = f.buf[:0]
	return frame{raw: raw}
}

func (f *framer) fill() {
	if len(f.buf) == 0 && cap(f.buf) > readSize {
		f.buf = nil // frees the memory of a large packet
	}
	if cap(f.buf)-len(f.buf) < readSize {
		f.buf = append(make([]byte, 0, 2*len(f.buf)+readSize), f.buf...)
	}
	n, err := f.src.Read(f.buf[len(f.buf):cap(f.buf)])
	f.buf = f.buf[:len(f.buf)+n]
	f.err = err
}
