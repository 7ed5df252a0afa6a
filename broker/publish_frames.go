package broker

import "github.com/seed65a45251/mqtt/wire"

// frame is one encoding of a message. It is encoded once for each version and value
// of the retain flag, and written to many clients.
type frame struct {
	bytes []byte
	ready bool
}

// frameMaximum is the size up to which the memory of a frame is kept for the next
// message.
const frameMaximum = 16 << 10

// frames are the encodings of one message.
type frames [4]frame

// of returns a QoS 0 message encoded for 5.0 or for earlier versions, or nil if it
// cannot be encoded.
func (fs *frames) of(p *wire.Publish, v5 bool) []byte {
	i, v := 0, wire.V311
	if v5 {
		i, v = 1, wire.V5
	}
	if p.Retain {
		i += 2
	}
	f := &fs[i]
	if !f.ready {
		q := *p
		if !v5 {
			q.Properties = nil
		}
		f.bytes, _ = q.Append(f.bytes[:0], v)
		f.ready = true
	}
	if len(f.bytes) == 0 {
		return nil
	}
	return f.bytes
}

// end forgets the encodings.
func (fs *frames) end() {
	for i := range fs {
		f := &fs[i]
		f.ready = false
		if cap(f.bytes) > frameMaximum {
			f.bytes = nil
		}
	}
}
