package mqtt

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/transport"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// openSocket connects over the loopback interface, where publishers and the reader
// write for themselves. With sendBuffer the socket takes no more bytes than about
// that.
func openSocket(t *testing.T, sendBuffer int) (*Client, *mqtttest.Conn) {
	t.Helper()
	cfg := Config{}
	if sendBuffer > 0 {
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			var d net.Dialer
			nc, err := d.DialContext(ctx, network, addr)
			if err == nil {
				err = nc.(*net.TCPConn).SetWriteBuffer(sendBuffer)
			}
			return nc, err
		}
	}
	return openSocketWith(t, cfg, &wire.Connack{})
}

func openSocketWith(t *testing.T, cfg Config, ack *wire.Connack) (*Client, *mqtttest.Conn) {
	t.Helper()
	srv := mqtttest.NewServer(t, wire.V5)
	cfg.Version, cfg.KeepAlive = V5, -1
	connected := make(chan *Client, 1)
	go func() {
		c, err := Connect(t.Context(), srv.URL(), cfg)
		if err != nil {
			t.Error(err)
		}
		connected <- c
	}()
	conn := srv.Connected(ack)
	c := <-connected
	require.NotNil(t, c)
	t.Cleanup(func() {
		conn.Close() // so that Close has no farewell to wait for
		c.Close()
	})
	return c, conn
}

// publishAlone publishes messages that are acknowledged one by one until the
// publisher writes them himself.
func publishAlone(t *testing.T, c *Client, conn *mqtttest.Conn) {
	t.Helper()
	for i := range 2 * provenAlone {
		published := make(chan error, 1)
		go func() { published <- c.Publish(t.Context(), "t", fmt.Append(nil, i), AtLeastOnce) }()
		p := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, fmt.Sprint(i), string(p.Payload))
		conn.Send(&wire.Puback{PacketID: p.PacketID})
		require.NoError(t, <-published)
	}
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	require.Equal(t, uint8(provenAlone), c.conn.outbox.alone)
}

// until waits for something that goroutines of the client are about to do.
func until(t *testing.T, c *Client, done func() bool) {
	t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; {
		c.engine.mu.Lock()
		ok := done()
		c.engine.mu.Unlock()
		if ok {
			return
		}
		runtime.Gosched()
	}
	require.Fail(t, "it does not happen")
}

func TestLonePublisherDoesNotWaitForAServerThatDoesNotRead(t *testing.T) {
	c, conn := openSocket(t, 4<<10)
	publishAlone(t, c, conn)
	payload := bytes.Repeat([]byte("0123456789"), 400_000) // more than the sockets take
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for c.Stats().Inflight == 0 && t.Context().Err() == nil {
			runtime.Gosched()
		}
		cancel()
	}()
	err := c.Publish(ctx, "t", payload, AtLeastOnce)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, NotSent(err))

	p := mqtttest.Take[*wire.Publish](conn)
	require.True(t, bytes.Equal(payload, p.Payload), "the writer goes on where the publisher stopped")
	conn.Send(&wire.Puback{PacketID: p.PacketID})
	require.NoError(t, c.Flush(t.Context()))
	publishAlone(t, c, conn)
}

func TestAcknowledgementGivenDuringADirectWriteIsSent(t *testing.T) {
	c, conn := openSocket(t, 4<<10)
	subscribed := make(chan *Subscription, 1)
	go func() {
		sub, err := c.Subscribe(t.Context(), "t", AtLeastOnce)
		if err != nil {
			t.Error(err)
		}
		subscribed <- sub
	}()
	s := mqtttest.Take[*wire.Subscribe](conn)
	conn.Send(&wire.Suback{PacketID: s.PacketID, ReasonCodes: []wire.ReasonCode{wire.GrantedQoS1}})
	sub := <-subscribed
	require.NotNil(t, sub)
	k := c.conn
	until(t, c, func() bool { return k.outbox.asleep })
	c.engine.mu.Lock()
	k.outbox.held, k.outbox.asleep = true, false // as between acquireLocked and writeDirect
	c.engine.mu.Unlock()

	conn.Send(&wire.Publish{Topic: "t", QoS: wire.AtLeastOnce, PacketID: 7, Properties: &wire.PublishProperties{SubscriptionIDs: []uint32{1}}})
	_, err := sub.Next(t.Context())
	require.NoError(t, err)
	until(t, c, func() bool { return k.outbox.asleep }) // the writer came for it and left it to us
	k.writeDirect(nil)
	conn.Want(&wire.Puback{PacketID: 7})
}

func TestCloseWaitsForADirectWrite(t *testing.T) {
	c, conn := openSocket(t, 4<<10)
	k := c.conn
	until(t, c, func() bool { return k.outbox.asleep })
	c.engine.mu.Lock()
	k.outbox.held = true
	c.engine.mu.Unlock()
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	until(t, c, func() bool { return k.leaving != nil })
	k.writeDirect(nil)
	conn.WantDisconnect(wire.Success)
	conn.Close()
	require.NoError(t, <-closed)
}

func TestADirectWriteThatOutlivesItsConnectionTouchesNoOther(t *testing.T) {
	c, conn := openSocket(t, 4<<10)
	k := c.conn
	until(t, c, func() bool { return k.outbox.asleep })
	c.engine.mu.Lock()
	k.outbox.held = true
	c.engine.mu.Unlock()
	conn.Close()
	until(t, c, func() bool { return c.conn == nil })
	d, err := c.PublishAsync(t.Context(), &Message{Topic: "t", QoS: AtLeastOnce})
	require.NoError(t, err)
	k.writeDirect(nil)
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	require.True(t, d.out.Queued(), "it waits for the next connection")
}

func TestManyWritersKeepTheOrder(t *testing.T) {
	b := mqtttest.NewBroker(t)
	c, err := Connect(t.Context(), b.URL(), Config{})
	require.NoError(t, err)
	defer c.Close()
	sub, err := c.SubscribeWith(t.Context(), SubscribeOptions{Filters: []Filter{{Filter: "order/#", QoS: ExactlyOnce}}, BufferMessages: 1 << 20})
	require.NoError(t, err)
	const publishers, each = 6, 150
	// One after the other, each alone, then all at once: publishers, the reader and the
	// writer take turns on the socket.
	for _, together := range []bool{false, true} {
		var wg sync.WaitGroup
		for n := range publishers {
			publish := func() {
				topic := fmt.Sprintf("order/%v/%d", together, n)
				for i := range each {
					qos := QoS(n % 3)
					if err := c.Publish(t.Context(), topic, fmt.Append(nil, i), qos); err != nil {
						t.Error(err)
						return
					}
				}
			}
			if wg.Go(publish); !together {
				wg.Wait()
			}
		}
		next := make(map[string]int)
		for range publishers * each {
			m, err := sub.Next(t.Context())
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(next[m.Topic]), string(m.Payload), m.Topic)
			next[m.Topic]++
		}
		wg.Wait()
	}
}

func TestLargePayloadIsWrittenFromWhereItIs(t *testing.T) {
	c, conn := openSocket(t, 4<<10)
	payload := make([]byte, 2<<20)
	for i := range payload {
		payload[i] = byte(i * 7 >> 3)
	}
	for qos := range ExactlyOnce {
		published := make(chan error, 1)
		go func() { published <- c.Publish(t.Context(), "large", payload, qos) }()
		async, err := c.PublishAsync(t.Context(), &Message{Topic: "small", Payload: []byte("behind or before")})
		require.NoError(t, err)
		for range 2 {
			p := mqtttest.Take[*wire.Publish](conn)
			if p.Topic == "small" {
				require.Equal(t, "behind or before", string(p.Payload))
				continue
			}
			require.True(t, bytes.Equal(payload, p.Payload))
			if qos > AtMostOnce {
				conn.Send(&wire.Puback{PacketID: p.PacketID})
			}
		}
		require.NoError(t, <-published)
		<-async.Done()
	}
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	require.Less(t, cap(c.conn.outbox.spare), 1<<20, "the payload was not copied as a whole")
}

func TestLargePayloadIsTheCallersAgainWhenTheConnectionBreaks(t *testing.T) {
	c, conn := openSocket(t, 4<<10)
	payload := make([]byte, 5<<20)
	published := make(chan error, 1)
	go func() { published <- c.Publish(t.Context(), "large", payload, AtMostOnce) }()
	until(t, c, func() bool { return c.conn.outbox.taken > 0 })
	conn.Close()
	require.ErrorIs(t, <-published, ErrConnectionLost)
	clear(payload) // the race detector would see a write that still goes on
}

func TestLargePayloadsFollowEachOther(t *testing.T) {
	c, conn := openSocket(t, 0)
	payload := make([]byte, 600_000) // not a multiple of anything
	for i := range payload {
		payload[i] = byte(i * 7 >> 3)
	}
	const messages = 60
	published := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < messages && err == nil; i++ {
			err = c.Publish(t.Context(), "t", payload, QoS(i%2))
		}
		published <- err
	}()
	for range messages {
		// An acknowledgement may be here before the publisher knows that all is written.
		p := mqtttest.Take[*wire.Publish](conn)
		require.True(t, bytes.Equal(payload, p.Payload))
		if p.QoS > 0 {
			conn.Send(&wire.Puback{PacketID: p.PacketID})
		}
	}
	require.NoError(t, <-published)
}

func TestFlushReturnsAfterALargePayloadAtMostOnce(t *testing.T) {
	c, conn := openSocket(t, 0)
	go io.Copy(io.Discard, conn)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 20 {
		require.NoError(t, c.Publish(ctx, "t", make([]byte, 300_000), AtMostOnce))
		require.NoError(t, c.Flush(ctx))
	}
}

func TestPublisherWhoseMessageIsRefusedDoesNotKeepOthersFromWriting(t *testing.T) {
	c, conn := openSocketWith(t, Config{QueueMessages: 1, WhenFull: WhenFull{Acknowledged: FullFail}}, &wire.Connack{ReceiveMaximum: 1})
	sent, err := c.PublishAsync(t.Context(), &Message{Topic: "t", QoS: AtLeastOnce})
	require.NoError(t, err)
	first := mqtttest.Take[*wire.Publish](conn)
	queued, err := c.PublishAsync(t.Context(), &Message{Topic: "t", QoS: AtLeastOnce})
	require.NoError(t, err)
	k := c.conn
	until(t, c, func() bool { return k.outbox.asleep && !k.outbox.held })
	c.engine.mu.Lock()
	require.NoError(t, c.engine.Request(&session.Request{Unsubscribe: &wire.Unsubscribe{Filters: []string{"f"}}, Owner: noOwner{}})) // the writer does not know of it yet
	k.outbox.asleep = false
	c.engine.mu.Unlock()
	for range provenAlone {
		require.ErrorIs(t, c.Publish(t.Context(), "t", nil, AtLeastOnce), ErrQueueFull)
	}
	k.outbox.wakeWriter()
	mqtttest.Take[*wire.Unsubscribe](conn)
	conn.Send(&wire.Puback{PacketID: first.PacketID})
	second := mqtttest.Take[*wire.Publish](conn)
	conn.Send(&wire.Puback{PacketID: second.PacketID})
	<-sent.Done()
	<-queued.Done()
}

func TestWherePacketsAreLoggedOnlyTheWriterWrites(t *testing.T) {
	// The handler of a logger may panic or publish; a publisher is not to run it.
	logger := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: LevelPacket}))
	c, conn := openSocketWith(t, Config{Logger: logger}, &wire.Connack{})
	publishAlone(t, c, conn)
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	require.False(t, c.conn.outbox.acquireLocked())
}

func TestIdleConnectionGivesLargeBuffersBack(t *testing.T) {
	c := new(Client)
	c.engine.Client = session.NewClient(session.ClientSettings{})
	engine := c.engine.Client
	k := &conn{connOptions: connOptions{engine: &c.engine, acks: &c.holds}, outbox: outbox{spare: make([]byte, 0, 2*idleBuffer), taken: 1}}
	engine.Take(make([]byte, 0, 2*idleBuffer), k.start)
	k.trimLocked()
	require.NotNil(t, k.outbox.spare, "something was written since the connection began")
	k.trimLocked()
	require.Nil(t, k.outbox.spare)
	require.Zero(t, cap(engine.Take(nil, k.start)))

	k.outbox.spare = make([]byte, 0, idleBuffer)
	k.trimLocked()
	require.NotNil(t, k.outbox.spare, "a small one stays")
}

// Network is what SetNetwork takes.
type Network = transport.Network

// SetNetwork puts n in the place of the operating system: that is how tests have names
// and SRV records of their own in fake time.
func SetNetwork(c *Config, n Network) { c.network = n }

// pinging returns an engine whose PINGREQ is written.
func pinging(t *testing.T) *session.Client {
	t.Helper()
	now := time.Now()
	engine := session.NewClient(session.ClientSettings{})
	require.NoError(t, engine.Connect(V5, &wire.Connect{Version: V5, ClientID: "c", CleanStart: true, KeepAlive: 10}, now))
	engine.Take(nil, now)
	ack, err := (&wire.Connack{}).Append(nil, V5)
	require.NoError(t, err)
	h, n, err := wire.ParseHeader(ack, V5)
	require.NoError(t, err)
	require.NoError(t, engine.Handle(h, ack[n:], now))
	require.NoError(t, engine.Tick(now.Add(time.Minute)))
	engine.Take(nil, now)
	engine.Wrote(now)
	_, written := engine.Pinging()
	require.True(t, written)
	return engine
}

// Looking at what has left goes on beside the writer, which counts what it has written
// a moment after the operating system has it.
func TestPingDoesNotMoveWhereOnlyTheCountLagsBehind(t *testing.T) {
	engine := pinging(t)
	p := ping{end: 100}
	require.False(t, p.moves(engine, 40))
	require.False(t, p.moves(engine, 30), "10 bytes are being written")
	require.False(t, p.moves(engine, 40))
	require.True(t, p.look(engine))
	require.True(t, p.moves(engine, 50))
	require.True(t, p.moves(engine, 100))
	require.False(t, p.look(engine))
	require.False(t, p.moves(engine, 90))
	require.False(t, p.look(engine), "it has left")
}

// A handshake may come too late when the engine has taken CONNACK: until that is told, there
// is no connection to ping on.
func TestPingWhereTheHandshakeCameTooLate(t *testing.T) {
	c := new(Client)
	c.engine.Client = pinging(t)
	_, err := c.Ping(t.Context())
	require.ErrorIs(t, err, ErrNotConnected)
	require.True(t, NotSent(err))
}
