package chaostest

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

// leaving is how long the end of a client may take when nothing is waited for any more.
const leaving = time.Second

// hearing notes when bytes last came from the server.
type hearing struct {
	net.Conn
	last *atomic.Pointer[time.Time]
}

func (h hearing) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if n > 0 {
		h.last.Store(new(time.Now()))
	}
	return n, err
}

// listening makes the connections of a line note when bytes came.
func (l *line) listening() *atomic.Pointer[time.Time] {
	last, dial := new(atomic.Pointer[time.Time]), l.dial
	l.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return hearing{nc, last}, nil
	}
	return last
}

// meanwhile is what goes on when a server falls silent.
type meanwhile struct {
	name string
	// directions are those in which silence is one: who still hears the server learns from
	// that when it gives up the connection.
	directions []faultproxy.Direction
	do         func(*testing.T, *broker.Broker, *mqtt.Client)
}

var everyDirection = []faultproxy.Direction{faultproxy.Up, faultproxy.Down, faultproxy.Both}

var meanwhiles = []meanwhile{
	{"idle", everyDirection, func(*testing.T, *broker.Broker, *mqtt.Client) {}},
	{"publishing", everyDirection, func(t *testing.T, _ *broker.Broker, c *mqtt.Client) {
		_ = c.Publish(t.Context(), "other", nil, mqtt.AtMostOnce) // it may be lost at this moment
	}},
	{"receiving", everyDirection[1:], func(t *testing.T, b *broker.Broker, _ *mqtt.Client) {
		require.NoError(t, b.Publish(&wire.Publish{Topic: "own"}))
	}},
}

// TestSilenceIsNoticedInTime has servers fall silent at many moments.
func TestSilenceIsNoticedInTime(t *testing.T) {
	t.Parallel()
	const interval = time.Minute
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		for _, m := range meanwhiles {
			for _, d := range m.directions {
				for after := time.Duration(0); after < 2*interval; after += interval / 8 {
					synctest.Test(t, func(t *testing.T) { m.silence(t, v, d, after, interval) })
					if t.Failed() {
						t.Fatalf("%s, silence in directions %d after %v", m.name, d, after)
					}
				}
			}
		}
	})
}

func (m *meanwhile) silence(t *testing.T, v mqtt.Version, d faultproxy.Direction, after, interval time.Duration) {
	b := newBroker(t)
	l := inMemory(t, b)
	last := l.listening()
	cfg := l.config("c", v)
	cfg.KeepAlive = interval
	client := l.connect(t, cfg)
	_, err := client.Subscribe(t.Context(), "own", mqtt.AtMostOnce)
	require.NoError(t, err)
	stop := make(chan struct{})
	working := Begin(func() error {
		ticks := time.NewTicker(interval / 7)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				m.do(t, b, client)
			case <-stop:
				return nil
			}
		}
	})
	defer func() {
		close(stop)
		require.NoError(t, working.Wait())
	}()
	<-time.After(after)
	synctest.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 3*interval)
	defer cancel()
	events := client.Watch(ctx)
	begun := time.Now()
	l.Blackhole(d)
	for e := range events {
		if e.State == mqtt.Reconnecting {
			require.ErrorIs(t, e.Err, mqtt.ErrKeepAlive)
			break
		}
	}
	require.LessOrEqual(t, time.Since(begun), interval*3/2)
	require.LessOrEqual(t, time.Since(*last.Load()), interval*3/2, "since the last byte")
	// It is the default of Config.PingTimeout that the server may take for an answer.
	require.GreaterOrEqual(t, time.Since(*last.Load()), interval/2)
	if m.name == "idle" {
		require.Greater(t, time.Since(*last.Load()), interval)
	}
	l.Heal()
	require.NoError(t, client.WaitConnected(t.Context()))
}

// TestSlowAnswerIsNoSilence has each answer come just in time.
func TestSlowAnswerIsNoSilence(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		synctest.Test(t, func(t *testing.T) {
			const interval = time.Minute
			l := inMemory(t, newBroker(t))
			cfg := l.config("c", v)
			cfg.KeepAlive = interval
			client := l.connect(t, cfg)
			l.Delay(interval/4 - time.Millisecond) // in each direction
			<-time.After(24 * time.Hour)
			require.Zero(t, client.Stats().Lost)
		})
	})
}

// ending is a client that ends while its server is silent.
type ending struct {
	name string
	// before is what the client does when the server is silent already.
	before func(*testing.T, *mqtt.Client)
	// left says that Disconnect does not finish before its context ends.
	left bool
}

var endings = []ending{
	{"idle", func(*testing.T, *mqtt.Client) {}, false},
	{"QoS 0", func(t *testing.T, c *mqtt.Client) { PublishAsync(t, c, "x", mqtt.AtMostOnce) }, false},
	{"QoS 1 in flight", func(t *testing.T, c *mqtt.Client) { PublishAsync(t, c, "x", mqtt.AtLeastOnce) }, true},
	{"QoS 2 in flight", func(t *testing.T, c *mqtt.Client) { PublishAsync(t, c, "x", mqtt.ExactlyOnce) }, true},
	{"a Subscribe under way", func(t *testing.T, c *mqtt.Client) {
		Begin(func() error { _, err := c.Subscribe(t.Context(), "late", mqtt.AtMostOnce); return err })
	}, false},
	{"reconnecting in vain", func(t *testing.T, c *mqtt.Client) {
		PublishAsync(t, c, "x", mqtt.AtLeastOnce)
		for c.Stats().Lost == 0 {
			<-time.After(time.Second)
		}
	}, true},
}

// TestClientOfASilentServerEnds has Close return within a second, and Disconnect within a
// second after its context has ended.
func TestClientOfASilentServerEnds(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		for _, d := range everyDirection {
			for _, e := range endings {
				synctest.Test(t, func(t *testing.T) {
					client := e.silenced(t, v, d)
					begun := time.Now()
					require.NoError(t, client.Close())
					require.LessOrEqual(t, time.Since(begun), leaving, "%s, %d", e.name, d)
				})
				synctest.Test(t, func(t *testing.T) { e.disconnect(t, e.silenced(t, v, d), d) })
			}
		}
	})
}

func (e *ending) silenced(t *testing.T, v mqtt.Version, d faultproxy.Direction) *mqtt.Client {
	l := inMemory(t, newBroker(t))
	client := l.connect(t, l.config("c", v))
	_, err := client.Subscribe(t.Context(), "own", mqtt.AtMostOnce)
	require.NoError(t, err)
	l.Blackhole(d)
	e.before(t, client)
	synctest.Wait()
	return client
}

func (e *ending) disconnect(t *testing.T, client *mqtt.Client, d faultproxy.Direction) {
	limit := 10 * keepAlive
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	begun := time.Now()
	err := client.Disconnect(ctx)
	if !e.left {
		require.LessOrEqual(t, time.Since(begun), leaving, "%s, %d: %v", e.name, d, err)
		return
	}
	require.LessOrEqual(t, time.Since(begun), limit+leaving, "%s, %d: %v", e.name, d, err)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	unfinished, ok := errors.AsType[*mqtt.UnfinishedError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, 1, unfinished.Published)
}

// shut is a line with a server that reads nothing from now on, and whose client has little
// room for what waits to be read. An opaque one does not tell what it is made of, and how
// many bytes have left.
func (l *line) shut(t *testing.T, v mqtt.Version, opaque bool) (*mqtt.Client, *mqtt.Subscription) {
	if dial := l.dial; opaque {
		l.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := dial(ctx, network, address)
			return struct{ net.Conn }{nc}, err
		}
	}
	cfg := l.config("c", v)
	cfg.KeepAlive, cfg.WriteTimeout = -1, writeTimeout
	client := l.connect(t, cfg)
	sub, err := client.Subscribe(t.Context(), "own", mqtt.ExactlyOnce)
	require.NoError(t, err)
	l.Blackhole(faultproxy.Up)
	return client, sub
}

const writeTimeout = 10 * time.Second

// TestServerThatStopsReading has writes find no room. Calls return with their contexts, the
// connection is given up, and what was accepted arrives on the next.
func TestServerThatStopsReading(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		for _, opaque := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				l := narrow(t, newBroker(t))
				client, sub := l.shut(t, v, opaque)
				begun := time.Now()
				requireReturn(t, client, writeTimeout/2)
				var accepted []*mqtt.Delivery
				for _, qos := range []mqtt.QoS{mqtt.AtLeastOnce, mqtt.ExactlyOnce} {
					d, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "own", Payload: []byte("accepted"), QoS: qos})
					require.NoError(t, err)
					accepted = append(accepted, d)
				}
				for client.Stats().Lost == 0 {
					require.LessOrEqual(t, time.Since(begun), 2*writeTimeout)
					<-time.After(time.Second / 10)
				}
				l.Heal()
				for _, d := range accepted {
					_, err := d.Wait(t.Context())
					require.NoError(t, err)
				}
				come := map[mqtt.QoS]int{}
				for come[mqtt.AtLeastOnce] == 0 || come[mqtt.ExactlyOnce] == 0 {
					if m := Next(t, sub); string(m.Payload) == "accepted" {
						come[m.QoS]++
					}
				}
				require.Equal(t, 1, come[mqtt.ExactlyOnce])
			})
			synctest.Test(t, func(t *testing.T) {
				client, _ := narrow(t, newBroker(t)).shut(t, v, opaque)
				requireReturn(t, client, writeTimeout/2)
				begun := time.Now()
				require.NoError(t, client.Close())
				require.LessOrEqual(t, time.Since(begun), leaving)
			})
		}
	})
}

// requireReturn has many publish that find no room, and requires that each returns with
// its context.
func requireReturn(t *testing.T, client *mqtt.Client, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	begun := time.Now()
	var calls []*Call
	for i := range 24 {
		calls = append(calls, Begin(func() error {
			return client.Publish(ctx, "own", make([]byte, 10_000), mqtt.QoS(i%3))
		}))
	}
	for i, c := range calls {
		if err := c.Wait(); i%3 > 0 {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
	}
	require.LessOrEqual(t, time.Since(begun), limit)
	require.Zero(t, client.Stats().Lost)
}

// narrow returns a line in memory to b in which few bytes wait.
func narrow(t *testing.T, b *broker.Broker) *line {
	l := pipe.Listen(512)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) }
	return &line{faultproxy.NewListener(t, l, b.Dial), address{"mqtt://broker", dial}}
}
