package mqtt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// lending is a client whose handlers get lent messages.
type lending struct {
	t      *testing.T
	srv    *mqtttest.Server
	server *mqtttest.Conn
	client *Client
	conn   *conn
	ids    map[string]uint32 // of the subscriptions, by filter
}

func startLending(t *testing.T) *lending {
	l := &lending{t: t, srv: mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1 << 20}), ids: make(map[string]uint32)}
	connected := make(chan struct{})
	go func() {
		defer close(connected)
		var err error
		l.client, err = Connect(t.Context(), "mqtt://server", Config{ClientID: "c1", Version: V5, KeepAlive: -1, Dial: l.srv.Dial})
		require.NoError(t, err)
	}()
	l.server = l.srv.Connected(&wire.Connack{})
	<-connected
	t.Cleanup(func() { l.client.Close() })
	l.conn = l.client.conn
	return l
}

func (l *lending) lent() int64 {
	synctest.Wait()
	return l.conn.receiver.(*receiver).lender.out.Load()
}

// handle begins a Handle and grants what it asks for.
func (l *lending) handle(ctx context.Context, o SubscribeOptions, f func(context.Context, *Message) error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- l.client.Handle(ctx, o, f) }()
	p := mqtttest.Take[*wire.Subscribe](l.server)
	l.server.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{2}})
	synctest.Wait()
	return result
}

func lentOn(filter string) SubscribeOptions {
	return SubscribeOptions{Filters: []Filter{{Filter: filter, QoS: ExactlyOnce}}, Lend: true}
}

const lentSize = 300

// contents is the payload of message i.
func contents(i int) []byte {
	return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, lentSize/2)
}

// burst sends messages as busy connections do: many at once. Their QoS is qos
// for every second one.
func (l *lending) burst(topic string, from, n int, qos QoS) {
	var b []byte
	for i := from; i < from+n; i++ {
		p := wire.Publish{Topic: topic, Payload: contents(i), Properties: &wire.PublishProperties{
			CorrelationData: contents(i + 1), UserProperties: []UserProperty{{Name: "n", Value: fmt.Sprint(i)}}}}
		if i%2 == 1 && qos > 0 {
			p.QoS, p.PacketID = qos, uint16(i)
		}
		var err error
		b, err = p.Append(b, wire.V5)
		require.NoError(l.t, err)
	}
	l.server.Write(b)
	synctest.Wait()
}

func wantContents(t *testing.T, i int, m *Message) {
	t.Helper()
	require.True(t, bytes.Equal(contents(i), m.Payload), "payload of message %d", i)
	require.True(t, bytes.Equal(contents(i+1), m.CorrelationData), "correlation data of message %d", i)
	require.Equal(t, fmt.Sprint(i), m.UserProperties[0].Value)
}

var errEnough = errors.New("enough")

func TestLentMessagesAreIntactAndGoBack(t *testing.T) {
	for _, concurrency := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			l := startLending(t)
			o := lentOn("t")
			o.Concurrency = concurrency
			n, most := 0, int64(0)
			l.handle(t.Context(), o, func(_ context.Context, m *Message) error {
				wantContents(t, n, m)
				most = max(most, l.conn.receiver.(*receiver).lender.out.Load())
				n++
				return nil
			})
			for round := range 10 {
				l.burst("t", round*400, 400, AtMostOnce)
			}
			require.Zero(t, l.lent())
			require.Equal(t, 4000, n)
			require.Positive(t, most, "some were lent")
		})
	}
}

func TestWhatIsLentGoesBackHoweverItEnds(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*SubscribeOptions)
		f      func() error
		end    func(*lending, context.CancelFunc)
		want   error
	}{
		"error":                {func(o *SubscribeOptions) {}, func() error { return errEnough }, func(*lending, context.CancelFunc) {}, errEnough},
		"concurrent error":     {func(o *SubscribeOptions) { o.Concurrency = 3 }, func() error { return errEnough }, func(*lending, context.CancelFunc) {}, errEnough},
		"context":              {func(o *SubscribeOptions) {}, nil, func(_ *lending, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"concurrent context":   {func(o *SubscribeOptions) { o.Concurrency = 3 }, nil, func(_ *lending, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"close":                {func(o *SubscribeOptions) {}, nil, func(l *lending, _ context.CancelFunc) { l.client.Close() }, ErrClosed},
		"concurrent close":     {func(o *SubscribeOptions) { o.Concurrency = 3 }, nil, func(l *lending, _ context.CancelFunc) { l.client.Close() }, ErrClosed},
		"drop newest":          {func(o *SubscribeOptions) { o.BufferMessages = 100 }, nil, func(_ *lending, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"drop oldest":          {func(o *SubscribeOptions) { o.BufferMessages, o.Overflow = 100, DropOldest }, nil, func(_ *lending, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"blocked":              {func(o *SubscribeOptions) { o.BufferMessages, o.Overflow = 100, Block }, nil, func(_ *lending, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"blocked, line is cut": {func(o *SubscribeOptions) { o.BufferMessages, o.Overflow = 100, Block }, nil, func(l *lending, cancel context.CancelFunc) { l.server.Close(); synctest.Wait(); cancel() }, context.Canceled},
		"blocked, close":       {func(o *SubscribeOptions) { o.BufferMessages, o.Overflow = 100, Block }, nil, func(l *lending, _ context.CancelFunc) { l.client.Close() }, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := startLending(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				o := lentOn("t")
				test.change(&o)
				goOn := make(chan struct{})
				result := l.handle(ctx, o, func(context.Context, *Message) error {
					<-goOn
					if test.f != nil {
						return test.f()
					}
					return nil
				})
				l.burst("t", 0, 100, AtLeastOnce) // while the buffer is still small
				l.burst("t", 100, 400, AtLeastOnce)
				require.Positive(t, l.lent())
				test.end(l, cancel)
				close(goOn)
				require.ErrorIs(t, <-result, test.want)
				require.Zero(t, l.lent())
			})
		})
	}
}

func TestLentMessageThatWaitsForTheNextHandlerOutlivesItsBuffer(t *testing.T) {
	for _, concurrency := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			l := startLending(t)
			var overwritten int
			l.handle(t.Context(), lentOn("o"), func(context.Context, *Message) error {
				overwritten++
				return nil
			})
			o := lentOn("t")
			o.Concurrency = concurrency
			goOn := make(chan struct{})
			result := l.handle(t.Context(), o, func(context.Context, *Message) error {
				<-goOn
				return errEnough
			})
			l.burst("o", 0, 100, AtMostOnce)
			l.burst("t", 0, 200, ExactlyOnce)
			require.Positive(t, l.lent())
			close(goOn)
			require.ErrorIs(t, <-result, errEnough)
			u := mqtttest.Take[*wire.Unsubscribe](l.server)
			l.server.Send(&wire.Unsuback{PacketID: u.PacketID, ReasonCodes: []wire.ReasonCode{0}})
			for range 20 {
				l.burst("o", 1000, 400, AtMostOnce)
			}
			require.Equal(t, 8100, overwritten)
			next := 1
			l.handle(t.Context(), lentOn("t"), func(_ context.Context, m *Message) error {
				wantContents(t, next, m)
				next += 2
				return nil
			})
			for id := uint16(1); id < 200; id += 2 {
				require.Equal(t, id, mqtttest.Take[*wire.Pubrec](l.server).PacketID)
			}
		})
	}
}

func TestEachOfSeveralSubscriptionsHasItsOwnMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := startLending(t)
		const n = 500
		counts := make([]int, 4)
		for i := range counts {
			o := lentOn([]string{"t", "#", "+", "t/#"}[i])
			o.Lend = i != 1
			l.handle(t.Context(), o, func(_ context.Context, m *Message) error {
				wantContents(t, counts[i], m)
				clear(m.Payload[:0]) // its length is ours to change, too
				m.Payload, m.UserProperties = nil, nil
				counts[i]++
				return nil
			})
		}
		l.burst("t", 0, n, AtLeastOnce)
		require.Equal(t, []int{n, n, n, n}, counts)
		for id := uint16(1); id < n; id += 2 {
			require.Equal(t, id, mqtttest.Take[*wire.Puback](l.server).PacketID, "acknowledged by the last, once")
		}
		l.server.WantIdle()
		require.Zero(t, l.lent())
	})
}

func TestLendingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := startLending(t)
		n, goOn := 0, make(chan struct{})
		o := lentOn("t")
		o.BufferMessages, o.BufferBytes = 1<<20, 1<<30
		l.handle(t.Context(), o, func(_ context.Context, m *Message) error {
			<-goOn
			wantContents(t, n, m)
			n++
			return nil
		})
		const total = 30_000
		for from := 0; from < total; from += 1000 {
			l.burst("t", from, 1000, AtMostOnce)
		}
		require.Greater(t, l.lent(), int64(maxLent)*9/10)
		require.Less(t, l.lent(), int64(maxLent)*11/10, "the rest was copied")
		close(goOn)
		require.Zero(t, l.lent())
		require.Equal(t, total, n)
	})
}

func TestLargePayloadsAreIntact(t *testing.T) {
	for _, lend := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			l := startLending(t)
			sizes := []int{adopted - 1, adopted, 200_000, 10, 1 << 20, 70_000, 0}
			var kept []*Message
			o := lentOn("t")
			o.Lend = lend
			l.handle(t.Context(), o, func(_ context.Context, m *Message) error {
				if lend {
					m = m.Clone()
				}
				kept = append(kept, m)
				return nil
			})
			for range 3 {
				var b []byte
				for i, size := range sizes {
					p := wire.Publish{Topic: "t", Payload: bytes.Repeat([]byte{byte(i + 1)}, size)}
					b, _ = p.Append(b, wire.V5)
				}
				l.server.Write(b)
			}
			synctest.Wait()
			require.Len(t, kept, 3*len(sizes))
			for i, m := range kept {
				size := sizes[i%len(sizes)]
				require.NotNil(t, m.Payload)
				require.True(t, bytes.Equal(bytes.Repeat([]byte{byte(i%len(sizes) + 1)}, size), m.Payload), "message %d", i)
			}
			require.Zero(t, l.lent())
		})
	}
}

// A received message takes what the runtime hands out, and wastes nothing of it.
func TestMessagesWithTheirPayloadsFitSizeClasses(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) < 8 {
		return // the sizes are chosen for 64 bits
	}
	for _, size := range []uintptr{
		unsafe.Sizeof(padded[[40]byte]{}), unsafe.Sizeof(padded[[72]byte]{}), unsafe.Sizeof(padded[[136]byte]{}),
		unsafe.Sizeof(padded[[200]byte]{}), unsafe.Sizeof(padded[[264]byte]{}), unsafe.Sizeof(padded[[328]byte]{}),
		unsafe.Sizeof(padded[[520]byte]{}), unsafe.Sizeof(padded[[840]byte]{}),
	} {
		class := cap(append([]byte(nil), make([]byte, size)...)) // append rounds up to it
		require.Equal(t, class, int(size))
	}
}
