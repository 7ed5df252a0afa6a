package durable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// The first two bytes of the keys of each kind of record.
const (
	keyHeader    = "Ch"
	keyMessage   = "Cm"
	keyExchange  = "Ce"
	keyUnstored  = "Cx"
	keyReceived  = "Cr"
	keySpare     = "Ca"
	keySetAside  = "Cz"
	keyOfNothing = "C" // the prefix of all
)

// layout is the version of the records.
const layout = 1

// ErrNewer is the error of records that a later release has written.
var ErrNewer = errors.New("the store was written by a later release")

// errDamaged is that of a record whose bytes are not those that were written.
var errDamaged = errors.New("damaged record")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealed is the length of what precedes the content of a value: the layout and the
// checksum.
const sealed = 5

// begin returns the start of a value, with room for n more bytes. seal completes it.
func begin(n int) []byte { return make([]byte, sealed, sealed+n) }

// seal sets what precedes the content of v.
func seal(v []byte) []byte {
	return sealAs(layout, v)
}

func sealAs(version byte, v []byte) []byte {
	v[0] = version
	binary.BigEndian.PutUint32(v[1:], checksum(v))
	return v
}

// checksum covers all of v but itself. Later releases keep to that, so that their records
// are told from damaged ones.
func checksum(v []byte) uint32 {
	return crc32.Update(crc32.Checksum(v[:1], castagnoli), castagnoli, v[sealed:])
}

// unseal returns the content of v.
func unseal(v []byte) ([]byte, error) {
	switch {
	case len(v) < sealed:
		return nil, errDamaged
	case checksum(v) != binary.BigEndian.Uint32(v[1:]):
		return nil, errDamaged
	case v[0] > layout:
		return nil, fmt.Errorf("%w: layout %d, and this one knows %d", ErrNewer, v[0], layout)
	case v[0] == 0:
		return nil, errDamaged
	}
	return v[sealed:], nil
}

func numberKey(kind string, number uint64) []byte {
	k := append(make([]byte, 0, len(keyMessage)+8), kind...)
	return binary.BigEndian.AppendUint64(k, number)
}

func identifierKey(id uint16) []byte { return binary.BigEndian.AppendUint16([]byte(keyUnstored), id) }

// numberOf returns the number in a key of numberKey.
func numberOf(key []byte) (uint64, bool) {
	if len(key) != len(keyMessage)+8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(key[len(keyMessage):]), true
}

// EncodeMessage returns the record of a message to be sent. expires may be zero. The
// record shares nothing with p.
func EncodeMessage(p *wire.Publish, expires, accepted time.Time) ([]byte, error) {
	q := *p
	q.PacketID, q.Duplicate = min(1, uint16(p.QoS)), false
	if q.PacketID > 0 && p.Properties != nil { // the identifier of a record says nothing else
		q.PacketID += min(p.Properties.OptionalUserProperties, math.MaxUint16-1)
	}
	v := begin(16 + q.Size(wire.V5))
	v = binary.BigEndian.AppendUint64(v, nanoseconds(expires))
	v = binary.BigEndian.AppendUint64(v, nanoseconds(accepted))
	v, err := q.Append(v, wire.V5)
	if err != nil {
		return nil, err
	}
	return seal(v), nil
}

// nanoseconds is 0 for the zero time.
func nanoseconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

func timeOf(nanoseconds uint64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(nanoseconds))
}

// message is a decoded record.
type message struct {
	publish           wire.Publish
	expires, accepted time.Time
}

// decodeMessage decodes a record with a decoder of its caller. The message aliases v.
func decodeMessage(d *wire.Decoder, v []byte) (m message, err error) {
	b, err := unseal(v)
	if err != nil {
		return m, err
	}
	if len(b) < 16 {
		return m, errDamaged
	}
	m.expires, m.accepted = timeOf(binary.BigEndian.Uint64(b)), timeOf(binary.BigEndian.Uint64(b[8:]))
	b = b[16:]
	h, n, err := wire.ParseHeader(b, wire.V5)
	if err != nil || n == 0 || h.Type != wire.TypePublish || h.Size != len(b) {
		return m, errDamaged
	}
	d.Version = wire.V5
	if d.Publish(&m.publish, h, b[n:]) != nil || m.publish.Topic == "" || m.publish.QoS == wire.AtMostOnce {
		return m, errDamaged
	}
	if q := m.publish.Properties; q != nil {
		q.OptionalUserProperties = uint16(min(int(m.publish.PacketID-1), len(q.UserProperties)))
	}
	m.publish.PacketID, m.publish.Duplicate = 0, false
	return m, nil
}

// exchange is how far the exchange of a message is.
type exchange struct {
	id       uint16 // 0: it is over without success, and the server may have the message all the same
	released uint64 // PUBRECs are numbered as they come; 0: none has come
	doubtful bool   // it may have come from a session that is gone
}

// doubtfulBit is set in the number of a doubtful PUBREC.
const doubtfulBit = 1 << 63

func (e exchange) encode() []byte {
	v := binary.BigEndian.AppendUint16(begin(10), e.id)
	if e.doubtful {
		e.released |= doubtfulBit
	}
	return seal(binary.BigEndian.AppendUint64(v, e.released))
}

func decodeExchange(v []byte) (exchange, error) {
	b, err := unseal(v)
	if err != nil {
		return exchange{}, err
	}
	if len(b) != 10 {
		return exchange{}, errDamaged
	}
	released := binary.BigEndian.Uint64(b[2:])
	return exchange{binary.BigEndian.Uint16(b), released &^ doubtfulBit, released&doubtfulBit != 0}, nil
}

// receivedKey names the record of an identifier in the session s.
func receivedKey(s session.SessionID, id uint16) []byte {
	return binary.BigEndian.AppendUint16(append([]byte(keyReceived), SessionHash(s)...), id)
}

// SessionHash stands for a session in keys.
func SessionHash(s session.SessionID) []byte {
	return binary.BigEndian.AppendUint32(nil, crc32.Checksum([]byte(s.Server+"\x00"+s.ClientID), castagnoli))
}

// encodeReceived returns the record of a received message. With open its exchange is not
// over.
func encodeReceived(in session.ReceivedRecord, open bool) []byte {
	v := binary.BigEndian.AppendUint32(begin(21), in.Number)
	if open {
		v = binary.BigEndian.AppendUint64(v, in.Digest.Content)
		v = binary.BigEndian.AppendUint64(v, in.Digest.Properties)
		if in.Doubtful {
			v = append(v, 1)
		}
	}
	return seal(v)
}

func decodeReceived(key, v []byte) (hash string, in session.ReceivedRecord, open bool, err error) {
	b, err := unseal(v)
	if err != nil {
		return "", in, false, err
	}
	if len(key) != len(keyReceived)+6 || len(b) != 4 && len(b) != 20 && len(b) != 21 {
		return "", in, false, errDamaged
	}
	in.PacketID, in.Number = binary.BigEndian.Uint16(key[6:]), binary.BigEndian.Uint32(b)
	if open = len(b) > 4; open {
		in.Doubtful = len(b) == 21
		in.Digest = session.Digest{Content: binary.BigEndian.Uint64(b[4:]), Properties: binary.BigEndian.Uint64(b[12:])}
	}
	return string(key[2:6]), in, open, nil
}

func put(key, value []byte) store.Op { return store.Op{Key: key, Value: value} }

func remove(key []byte) store.Op { return store.Op{Key: key, Delete: true} }
