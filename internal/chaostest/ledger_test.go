package chaostest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

// id names a message. Its QoS and its payload follow from it.
type id struct{ publisher, n uint32 }

func (i id) qos() mqtt.QoS { return mqtt.QoS((i.publisher + i.n*7>>2) % 3) }

func (i id) topic() string { return fmt.Sprintf("m/%d", i.publisher) }

// payload has about size bytes, sometimes many more, and tells itself from every other
// one, at every place.
func (i id) payload(rng *rand.Rand, size int) []byte {
	n := 8 + rng.IntN(size)
	switch rng.IntN(12) {
	case 0:
		n = 8
	case 1:
		n = 8 + rng.IntN(20*size)
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, n), i.publisher)
	b = binary.BigEndian.AppendUint32(b, i.n)
	return i.fill(b[:n])
}

func (i id) fill(b []byte) []byte {
	for at := 8; at < len(b); at++ {
		b[at] = byte(uint32(at)*(i.n|1) + i.publisher + uint32(at>>9))
	}
	return b
}

// stream is what keeps its order: the messages of one publisher with one QoS.
type stream struct {
	publisher uint32
	qos       mqtt.QoS
}

// ledger has what became of each message, at both ends of the line.
type ledger struct {
	mu    sync.Mutex
	fate  map[id]error // of those whose call is over
	count map[id]int   // how often each has come
	last  map[stream]uint32
	again int // copies of QoS 2 messages
}

func newLedger() *ledger {
	return &ledger{fate: map[id]error{}, count: map[id]int{}, last: map[stream]uint32{}}
}

// over notes how the call that published a message has ended.
func (l *ledger) over(i id, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fate[i] = err
}

// take notes a message that has come. Its error is about one that is damaged, or out of
// its order.
func (l *ledger) take(m *mqtt.Message) error {
	if len(m.Payload) < 8 {
		return fmt.Errorf("%d bytes on %s", len(m.Payload), m.Topic)
	}
	i := id{binary.BigEndian.Uint32(m.Payload), binary.BigEndian.Uint32(m.Payload[4:])}
	switch {
	case !bytes.Equal(i.fill(bytes.Clone(m.Payload)), m.Payload):
		return fmt.Errorf("%v at QoS %d has come damaged (%d bytes)", i, m.QoS, len(m.Payload))
	case i.qos() != m.QoS || m.Topic != i.topic():
		return fmt.Errorf("%v has come at QoS %d on %s", i, m.QoS, m.Topic)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count[i]++; l.count[i] > 1 {
		switch m.QoS {
		case mqtt.AtMostOnce:
			return fmt.Errorf("%v at QoS 0 has come twice", i)
		case mqtt.ExactlyOnce:
			l.again++
		}
		return nil
	}
	s := stream{i.publisher, m.QoS}
	if last, any := l.last[s]; any && i.n < last {
		return fmt.Errorf("%v at QoS %d has come after %d", i, m.QoS, last)
	}
	l.last[s] = i.n
	return nil
}

// check compares the two ends when everything is over. A message that may have been sent
// has come, unless the client has given it up: abandoned says how many it has, for those
// whose calls did not wait to be told. What was not sent has not come. Of QoS 2 at most
// so many copies have.
func (l *ledger) check(t *testing.T, copies, abandoned int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	untold := 0
	for i, err := range l.fate {
		switch n := l.count[i]; {
		case err != nil && mqtt.NotSent(err):
			require.Zero(t, n, "%v at QoS %d, which was not sent, has come: %v", i, i.qos(), err)
		case i.qos() == mqtt.AtMostOnce || n > 0:
		case errors.Is(err, context.DeadlineExceeded):
			untold++
		default:
			require.True(t, givenUp(err), "%v at QoS %d is lost: %v", i, i.qos(), err)
			abandoned--
		}
	}
	require.LessOrEqual(t, untold, abandoned, "lost messages whose calls had ended")
	for i := range l.count {
		require.Contains(t, l.fate, i, "a message that nobody has published")
	}
	require.LessOrEqual(t, l.again, copies, "copies of QoS 2 messages")
}

// givenUp reports whether err says that a message may not have come.
func givenUp(err error) bool {
	return errors.Is(err, mqtt.ErrUndeliverable) || errors.Is(err, mqtt.PacketIdentifierNotFound)
}
