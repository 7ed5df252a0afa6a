package mqtt

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// numbered is a client on a socket whose server sends it numbered messages, many at a time.
type numbered struct {
	t      *testing.T
	client *Client
	server *mqtttest.Conn
	next   int // number to send
}

// perBlock is how many messages come together: enough for a consumer to read for itself.
const perBlock = 4 * fewPut

func startNumbered(t *testing.T) *numbered {
	c, server := openSocket(t, 0)
	return &numbered{t: t, client: c, server: server}
}

// subscribe subscribes to a filter at QoS 1.
func (n *numbered) subscribe(filter string) *Subscription {
	n.t.Helper()
	made := make(chan *Subscription, 1)
	go func() {
		sub, err := n.client.Subscribe(n.t.Context(), filter, AtLeastOnce)
		if err != nil {
			n.t.Error(err)
		}
		made <- sub
	}()
	p := mqtttest.Take[*wire.Subscribe](n.server)
	n.server.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.GrantedQoS1}})
	sub := <-made
	require.NotNil(n.t, sub)
	return sub
}

// send sends the next messages, to topics in turn.
func (n *numbered) send(topics ...string) {
	var block []wire.Packet
	for range perBlock {
		block = append(block, &wire.Publish{Topic: topics[n.next%len(topics)], Payload: strconv.AppendInt(nil, int64(n.next), 10)})
		n.next++
	}
	n.server.Send(block...)
}

// pings has the client send a PINGREQ and wait for the answer, for which somebody has to read.
func (n *numbered) pings() error {
	result := make(chan error, 1)
	go func() {
		_, err := n.client.Ping(n.t.Context())
		result <- err
	}()
	mqtttest.Take[*wire.Pingreq](n.server)
	n.server.Send(&wire.Pingresp{})
	return <-result
}

// passed says whether a consumer has the reading.
func (n *numbered) passed() bool {
	n.client.engine.mu.Lock()
	r := &n.client.conn.reading
	n.client.engine.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.passed
}

// handle gets the messages from one number up to another by Handle, step by step, and
// checks their order. With the last it returns errAll. f is called once, in the first
// message that comes while a consumer has the reading.
func (n *numbered) handle(sub *Subscription, from, upTo, step int, f func() error) error {
	ctx, all := context.WithCancelCause(n.t.Context())
	return sub.Handle(ctx, func(_ context.Context, m *Message) error {
		if got := string(m.Payload); got != strconv.Itoa(from) {
			return fmt.Errorf("%s instead of %d", got, from)
		}
		if from += step; from >= upTo {
			all(errAll)
		}
		if f != nil && n.passed() {
			once := f
			f = nil
			return once()
		}
		return nil
	})
}

var errAll = errors.New("that is all")

// untilPassed sends blocks that sub gets by Handle, until f was called in the middle of one
// and the function has not returned nil.
func (n *numbered) untilPassed(sub *Subscription, f func() error) error {
	for range 1000 {
		called := false
		from := n.next
		n.send("a")
		err := n.handle(sub, from, n.next, 1, func() error {
			called = true
			return f()
		})
		if called {
			return err
		}
		require.ErrorIs(n.t, err, errAll)
	}
	require.Fail(n.t, "the reading is never passed")
	return nil
}

func TestAHandlerThatReadsCanWaitForTheServer(t *testing.T) {
	n := startNumbered(t)
	sub := n.subscribe("a")
	require.ErrorIs(t, n.untilPassed(sub, n.pings), errAll)
	require.NoError(t, n.pings())
}

func TestAHandlerThatReadsGivesTheReadingBackWhenItEnds(t *testing.T) {
	n := startNumbered(t)
	sub := n.subscribe("a")
	failed := errors.New("failed")
	require.ErrorIs(t, n.untilPassed(sub, func() error { return failed }), failed)
	require.NoError(t, n.pings())

	// The next consumer gets what is left, beginning with the message that failed.
	m, err := sub.Next(t.Context())
	require.NoError(t, err)
	first, err := strconv.Atoi(string(m.Payload))
	require.NoError(t, err)
	for i := first + 1; i < n.next; i++ {
		m, err := sub.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(i), string(m.Payload))
	}
}

func TestAPanicOfAHandlerThatReadsLeavesTheConnectionAlone(t *testing.T) {
	n := startNumbered(t)
	sub := n.subscribe("a")
	require.PanicsWithValue(t, "oops", func() {
		n.untilPassed(sub, func() error { panic("oops") })
	})
	require.NoError(t, n.pings())
	_, err := sub.Next(t.Context())
	require.NoError(t, err)
}

func TestOneConsumerReadsForAnother(t *testing.T) {
	n := startNumbered(t)
	a, b := n.subscribe("a"), n.subscribe("b")
	other := make(chan error, 1)
	require.ErrorIs(t, n.untilPassed(a, func() error {
		go func() {
			_, err := b.Next(t.Context())
			other <- err
		}()
		n.server.Send(&wire.Publish{Topic: "b"})
		return <-other
	}), errAll)

	// Both get theirs in order, however they are mixed.
	from := n.next
	for range 20 {
		n.send("a", "b")
	}
	go func() { other <- n.handle(a, from, n.next, 2, nil) }()
	go func() { other <- n.handle(b, from+1, n.next, 2, nil) }()
	require.ErrorIs(t, <-other, errAll)
	require.ErrorIs(t, <-other, errAll)
}

func TestTheEndOfAContextEndsAHandlerThatReads(t *testing.T) {
	n := startNumbered(t)
	sub := n.subscribe("a")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- sub.Handle(ctx, func(context.Context, *Message) error {
			if n.passed() {
				cancel()
			}
			return nil
		})
	}()
	for ctx.Err() == nil {
		n.send("a")
		require.NoError(t, n.pings())
	}
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, n.pings())
}

func TestTheConnectionMayBreakUnderAHandlerThatReads(t *testing.T) {
	n := startNumbered(t)
	sub := n.subscribe("a")
	lost := n.client.Watch(t.Context())
	require.ErrorIs(t, n.untilPassed(sub, func() error {
		n.server.Close()
		for e := range lost {
			if e.Err != nil {
				return e.Err
			}
		}
		return nil
	}), errServerClosed)
}

func TestUnsubscribeEndsAHandlerThatReads(t *testing.T) {
	n := startNumbered(t)
	sub := n.subscribe("a")
	ended := make(chan error, 1)
	err := n.untilPassed(sub, func() error {
		go func() { ended <- sub.Unsubscribe(t.Context()) }()
		p := mqtttest.Take[*wire.Unsubscribe](n.server)
		n.server.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.Success}})
		return <-ended
	})
	require.ErrorIs(t, err, ErrUnsubscribed)
	require.NoError(t, n.pings())
}

func TestAHandlerThatReadsCompletesTheBatchOfAnother(t *testing.T) {
	c, server := openSocketWith(t, Config{ReceiveMaximum: 3 * fewPut}, &wire.Connack{})
	n := &numbered{t: t, client: c, server: server}
	a, b := n.subscribe("a"), n.subscribe("b")
	batches := make(chan int)
	go func() {
		_ = b.HandleBatches(t.Context(), BatchOptions{Wait: time.Hour}, func(_ context.Context, batch []*Message) error {
			batches <- len(batch)
			return nil
		})
	}()
	send := func(messages int, topic string, first int) { // at QoS 0 if first is 0
		var block []wire.Packet
		for i := range messages {
			p := &wire.Publish{Topic: topic}
			if first > 0 {
				p.QoS, p.PacketID = wire.AtLeastOnce, uint16(first+i)
			}
			block = append(block, p)
		}
		server.Send(block...)
	}
	for passed := false; !passed; {
		send(fewPut, "b", 1)
		until(t, c, func() bool { return c.inbox.filling.Load() > 0 && c.engine.Receiver.Open() == fewPut })
		ctx, all := context.WithCancelCause(t.Context())
		got := 0
		ended := make(chan error, 1)
		go func() {
			ended <- a.Handle(ctx, func(context.Context, *Message) error {
				if got++; got == 1 {
					passed = n.passed()
					send(2*fewPut, "a", 1+fewPut) // with which the server may send nothing more
				}
				if got == perBlock+2*fewPut {
					all(errAll)
				}
				return nil
			})
		}()
		until(t, c, func() bool {
			a.queue.mu.Lock()
			defer a.queue.mu.Unlock()
			return a.queue.waiting > 0
		})
		send(perBlock, "a", 0)
		require.ErrorIs(t, <-ended, errAll)
		require.Equal(t, fewPut, <-batches)
		for i := range 3 * fewPut {
			server.Want(&wire.Puback{PacketID: uint16(1 + i)})
		}
	}
}
