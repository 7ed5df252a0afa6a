package badservertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// resetting is a connection whose end looks like a reset.
type resetting struct{ net.Conn }

func (r resetting) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	if err == io.EOF {
		err = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	}
	return n, err
}

// poisoned is a packet that a server does not like.
type poisoned struct {
	packet wire.PacketType
	is     func(wire.Packet) bool
	answer []byte // one of its kind, malformed
	begin  func(context.Context, *mqtt.Client) error
}

func isTopic(p wire.Packet) bool { return p.(*wire.Publish).Topic == "forbidden" }

func publishForbidden(qos mqtt.QoS) func(context.Context, *mqtt.Client) error {
	return func(ctx context.Context, c *mqtt.Client) error { return c.Publish(ctx, "forbidden", []byte("x"), qos) }
}

var poisons = map[string]poisoned{
	"PUBLISH at QoS 1": {wire.TypePublish, isTopic, []byte{0x40, 1, 0}, publishForbidden(mqtt.AtLeastOnce)},
	"PUBLISH at QoS 2": {wire.TypePublish, isTopic, []byte{0x50, 1, 0}, publishForbidden(mqtt.ExactlyOnce)},
	"PUBREL":           {wire.TypePubrel, func(wire.Packet) bool { return true }, []byte{0x70, 1, 0}, publishForbidden(mqtt.ExactlyOnce)},
	"SUBSCRIBE": {wire.TypeSubscribe, func(p wire.Packet) bool {
		for _, f := range p.(*wire.Subscribe).Filters {
			if f.Filter == "forbidden" {
				return true
			}
		}
		return false
	}, []byte{0x90, 1, 0}, func(ctx context.Context, c *mqtt.Client) error {
		_, err := c.Subscribe(ctx, "forbidden", mqtt.AtLeastOnce)
		return err
	}},
	"UNSUBSCRIBE": {wire.TypeUnsubscribe, func(p wire.Packet) bool { return p.(*wire.Unsubscribe).Filters[0] == "forbidden" },
		[]byte{0xb0, 1, 0}, func(ctx context.Context, c *mqtt.Client) error { return c.Unsubscribe(ctx, "forbidden") }},
	"Request": {wire.TypePublish, isTopic, []byte{0x40, 1, 0}, func(ctx context.Context, c *mqtt.Client) error {
		_, err := c.Request(ctx, &mqtt.Message{Topic: "forbidden", QoS: mqtt.AtLeastOnce, ResponseTopic: "answers"})
		return err
	}},
}

// endings are the ways in which a server ends a connection because of a packet.
var endings = map[string]struct {
	end   func(b *mqtttest.Broker, p *mqtttest.Packet, answer []byte)
	cause error
	v5    bool
}{
	"EOF":   {end: func(_ *mqtttest.Broker, p *mqtttest.Packet, _ []byte) { p.Cut() }, cause: io.EOF},
	"reset": {end: func(_ *mqtttest.Broker, p *mqtttest.Packet, _ []byte) { p.Cut() }, cause: syscall.ECONNRESET},
	"EOF later": {end: func(b *mqtttest.Broker, _ *mqtttest.Packet, _ []byte) {
		dropAfter(b, 50*time.Millisecond)
	}, cause: io.EOF},
	"DISCONNECT": {end: func(_ *mqtttest.Broker, p *mqtttest.Packet, _ []byte) {
		p.Answer(&wire.Disconnect{ReasonCode: wire.QuotaExceeded, ReasonString: "not this one"})
	}, cause: wire.QuotaExceeded, v5: true},
	"malformed answer": {end: func(_ *mqtttest.Broker, p *mqtttest.Packet, answer []byte) { p.AnswerBytes(answer) }, cause: wire.MalformedPacket},
}

// eachPoison walks over packets, versions and endings.
func eachPoison(t *testing.T, f func(t *testing.T, b *mqtttest.Broker, c *mqtt.Client, p poisoned, cause error)) {
	for name, p := range poisons {
		for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
			for how, ending := range endings {
				if ending.v5 && v != mqtt.V5 {
					continue
				}
				t.Run(fmt.Sprint(name, "/", v, "/", how), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := mqtttest.NewBroker(t)
						b.Control(p.packet, func(q *mqtttest.Packet) {
							if q.Direction == mqtttest.Up && q.ClientID == "c" && p.is(q.Packet) {
								q.Drop()
								ending.end(b, q, p.answer)
							}
						})
						dial := b.Dial
						if how == "reset" {
							dial = func(ctx context.Context, network, address string) (net.Conn, error) {
								nc, err := b.Dial(ctx, network, address)
								return resetting{nc}, err
							}
						}
						// Where the session is lost, UNSUBSCRIBE is over.
						cfg := mqtt.Config{Dial: dial, Version: v, ClientID: "c", Resume: p.packet == wire.TypeUnsubscribe}
						c, err := mqtt.Connect(t.Context(), b.URL(), cfg)
						require.NoError(t, err)
						defer c.Close()
						f(t, b, c, p, ending.cause)
					})
				})
			}
		}
	}
}

func TestPacketThatMakesTheServerHangUpFailsAmongOthers(t *testing.T) {
	eachPoison(t, func(t *testing.T, b *mqtttest.Broker, c *mqtt.Client, p poisoned, cause error) {
		sub, err := c.Subscribe(t.Context(), "good", mqtt.AtLeastOnce)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var others sync.WaitGroup
		for i := range 2 { // QoS 2 would have its PUBREL killed as well
			others.Go(func() {
				for ctx.Err() == nil {
					require.NoError(t, c.Publish(t.Context(), "good", []byte("x"), mqtt.QoS(i)))
					time.Sleep(1700 * time.Millisecond)
				}
			})
		}
		others.Go(func() {
			for ctx.Err() == nil {
				sub.Next(ctx)
			}
		})
		time.Sleep(time.Second)
		failed := Begin(func() error { return p.begin(t.Context(), c) })
		time.Sleep(time.Hour)
		require.True(t, failed.Over(), "%d connections", c.Stats().Connections)
		err = failed.Wait()
		require.ErrorIs(t, err, mqtt.ErrUndeliverable)
		require.ErrorIs(t, err, cause)
		require.False(t, mqtt.NotSent(err))
		connections := c.Stats().Connections
		require.Less(t, connections, uint64(30))
		time.Sleep(10 * time.Minute)
		require.Equal(t, connections, c.Stats().Connections, "it goes on")
		cancel()
		others.Wait()
		require.NoError(t, sub.Err())
	})
}

func TestServerThatSaysThatItIsAboutItselfBlamesNothing(t *testing.T) {
	for _, code := range []mqtt.ReasonCode{mqtt.ServerBusy, mqtt.ServerShuttingDown, mqtt.ConnectionRateExceeded, mqtt.MaximumConnectTime, mqtt.AdministrativeAction} {
		for name, p := range poisons {
			t.Run(fmt.Sprint(name, "/", code), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := mqtttest.NewBroker(t)
					stop := b.Control(p.packet, func(q *mqtttest.Packet) {
						if q.Direction == mqtttest.Up && p.is(q.Packet) {
							q.Drop()
							q.Answer(&wire.Disconnect{ReasonCode: code}) // and the client closes
						}
					})
					c, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial, ClientID: "c"})
					require.NoError(t, err)
					defer c.Close()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					waits := Begin(func() error { return p.begin(ctx, c) })
					time.Sleep(2 * time.Hour)
					require.False(t, waits.Over())
					stop()
					if name == "Request" {
						require.ErrorIs(t, waits.Wait(), mqtt.NoMatchingSubscribers)
						return
					}
					require.NoError(t, waits.Wait())
				})
			})
		}
	}
}

// dropAfter cuts the lines of c after d. Without a wait there is no timer, because one
// that is due when it is made can make the race detector die in a bubble of synctest
// (golang.org/issue/78156).
func dropAfter(b *mqtttest.Broker, d time.Duration) {
	if d == 0 {
		go b.Drop("c")
		return
	}
	time.AfterFunc(d, func() { b.Drop("c") })
}

// A server that hangs up on everybody, a while after CONNACK: it has not even seen what
// was sent.
func TestServerThatHangsUpOnEverythingBlamesNothing(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for _, after := range []time.Duration{0, time.Millisecond, time.Second, time.Minute} {
			t.Run(fmt.Sprint(v, "/", after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := mqtttest.NewBroker(t)
					c, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial, Version: v, ClientID: "c"})
					require.NoError(t, err)
					defer c.Close()
					stop := b.Control(wire.TypeConnack, func(*mqtttest.Packet) { dropAfter(b, after) })
					stopAll := b.Control(0, func(p *mqtttest.Packet) {
						switch p.Packet.(type) {
						case *wire.Connect, *wire.Connack, *wire.Pingreq, *wire.Pingresp:
						default:
							p.Drop()
						}
					})
					sub := Begin(func() error {
						_, err := c.Subscribe(t.Context(), "s", mqtt.AtLeastOnce)
						return err
					})
					synctest.Wait()
					one := Publish(t, c, "1", mqtt.AtLeastOnce)
					b.Drop("c")
					time.Sleep(4 * time.Hour)
					require.Greater(t, c.Stats().Connections, uint64(40))
					require.False(t, sub.Over() || one.Over())
					stop()
					stopAll()
					b.Drop("c")
					require.NoError(t, sub.Wait())
					require.NoError(t, one.Wait())
				})
			})
		}
	}
}

// cutting is a connection that is cut after so many bytes were written.
type cutting struct {
	net.Conn
	left int
}

func (c *cutting) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b[:min(len(b), c.left)])
	c.left -= n
	if err == nil && c.left == 0 {
		c.Conn.Close()
		err = syscall.ECONNRESET
	}
	return n, err
}

func (c *cutting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, net.ErrClosed) {
		err = io.EOF // as from a peer that has hung up
	}
	return n, err
}

// A line that is cut again and again says nothing of packets that never got through.
func TestFlappingLineBlamesNothing(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for _, cut := range []int{60, 200, 5000, 200_000} {
			for _, size := range []int{1, 100, 5000, 300_000} {
				t.Run(fmt.Sprint(v, "/cut after ", cut, "/size ", size), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := mqtttest.NewBroker(t)
						healed := make(chan struct{})
						dial := func(ctx context.Context, network, address string) (net.Conn, error) {
							nc, err := b.Dial(ctx, network, address)
							select {
							case <-healed:
								return nc, err
							default:
								return &cutting{nc, cut}, err
							}
						}
						c, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: dial, Version: v, ClientID: "c"})
						require.NoError(t, err)
						defer c.Close()
						var calls []*Call
						for i := range 4 {
							calls = append(calls, Begin(func() error {
								return c.Publish(t.Context(), "t", make([]byte, size), mqtt.QoS(1+i%2))
							}))
						}
						time.Sleep(2 * time.Hour)
						close(healed)
						for _, call := range calls {
							require.NoError(t, call.Wait())
						}
					})
				})
			}
		}
	}
}

// The line lasts less than an answer takes. Everything is written, nothing is answered.
func TestLineThatLastsLessThanAnAnswerTakesBlamesNothing(t *testing.T) {
	for _, size := range []int{1, 10_000, 50_000} {
		synctest.Test(t, func(t *testing.T) {
			b := mqtttest.NewBroker(t)
			c, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial, ClientID: "c"})
			require.NoError(t, err)
			defer c.Close()
			b.Throttle(5_000, "c")
			b.Delay(3*time.Second, "c")
			flapping, cancel := context.WithCancel(t.Context())
			go func() {
				for flapping.Err() == nil {
					time.Sleep(5 * time.Second)
					b.Drop("c")
				}
			}()
			waits := Begin(func() error { return c.Publish(t.Context(), "t", make([]byte, size), mqtt.AtLeastOnce) })
			time.Sleep(12 * time.Hour)
			require.False(t, waits.Over())
			cancel()
			require.NoError(t, waits.Wait())
		})
	}
}

func TestMessageAtMostOnceThatKillsHurtsNoOthers(t *testing.T) {
	for _, delay := range []time.Duration{0, 30 * time.Millisecond} {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			synctest.Test(t, func(t *testing.T) {
				b := mqtttest.NewBroker(t)
				b.Delay(10*time.Millisecond, "c")
				b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
					if isTopic(p.Packet) {
						dropAfter(b, delay)
					}
				})
				c, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial, Version: v, ClientID: "c"})
				require.NoError(t, err)
				defer c.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
				defer cancel()
				var running sync.WaitGroup
				running.Go(func() {
					for ctx.Err() == nil {
						c.Publish(ctx, "forbidden", nil, mqtt.AtMostOnce)
						time.Sleep(50 * time.Millisecond)
					}
				})
				done := 0
				for ctx.Err() == nil {
					require.NoError(t, c.Publish(t.Context(), "good", nil, mqtt.AtLeastOnce))
					done++
				}
				running.Wait()
				require.Greater(t, done, 50)
			})
		}
	}
}

func TestSubscriptionLosesOnlyTheFilterThatKills(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		synctest.Test(t, func(t *testing.T) {
			b := mqtttest.NewBroker(t)
			b.Control(wire.TypeSubscribe, func(p *mqtttest.Packet) {
				if poisons["SUBSCRIBE"].is(p.Packet) {
					p.Drop()
					p.Cut()
				}
			})
			c, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial, Version: v, ClientID: "c"})
			require.NoError(t, err)
			defer c.Close()
			sub, err := c.SubscribeWith(t.Context(), mqtt.SubscribeOptions{Filters: []mqtt.Filter{
				{Filter: "a", QoS: 1}, {Filter: "forbidden", QoS: 1}, {Filter: "b", QoS: 2}}})
			require.ErrorIs(t, err, mqtt.ErrUndeliverable)
			require.ErrorContains(t, err, "forbidden")
			require.NotNil(t, sub)
			require.Equal(t, []mqtt.ReasonCode{1, mqtt.UnspecifiedError, 2}, sub.Granted())
			require.NoError(t, c.Publish(t.Context(), "b", []byte("x"), mqtt.AtLeastOnce))
			require.Equal(t, "x", string(Next(t, sub).Payload))
		})
	}
}

func TestRenewalThatKillsEndsItsSubscriptionAlone(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		synctest.Test(t, func(t *testing.T) {
			b := mqtttest.NewBroker(t)
			c, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial, Version: v, ClientID: "c"})
			require.NoError(t, err)
			defer c.Close()
			var subs []*mqtt.Subscription
			for _, filter := range []string{"a", "forbidden", "b"} {
				sub, err := c.Subscribe(t.Context(), filter, mqtt.AtLeastOnce)
				require.NoError(t, err)
				subs = append(subs, sub)
			}
			b.Control(wire.TypeSubscribe, func(p *mqtttest.Packet) {
				if poisons["SUBSCRIBE"].is(p.Packet) {
					p.Drop()
					p.Cut()
				}
			})
			events := c.Watch(t.Context())
			b.RestartEmpty()
			_, err = subs[1].Next(t.Context())
			require.ErrorIs(t, err, mqtt.ErrUndeliverable)
			require.ErrorIs(t, subs[1].Err(), io.EOF)
			require.True(t, Seen(events, func(e mqtt.Event) bool {
				return e.Subscription == subs[1] && errors.Is(e.Err, mqtt.ErrUndeliverable)
			}))
			for i, topic := range map[int]string{0: "a", 2: "b"} {
				require.NoError(t, c.Publish(t.Context(), topic, []byte("x"), mqtt.AtLeastOnce))
				require.Equal(t, "x", string(Next(t, subs[i]).Payload))
			}
		})
	}
}

func TestAcknowledgementThatKillsBlamesNoMessage(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		synctest.Test(t, func(t *testing.T) {
			b := mqtttest.NewBroker(t)
			b.Delay(10*time.Millisecond, "c")
			c, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial, Version: v, ClientID: "c", Resume: true})
			require.NoError(t, err)
			defer c.Close()
			sub, err := c.Subscribe(t.Context(), "s", mqtt.AtLeastOnce)
			require.NoError(t, err)
			b.Control(wire.TypePuback, func(p *mqtttest.Packet) {
				if p.Direction == mqtttest.Up {
					p.Drop()
					p.Cut()
				}
			})
			b.Publish(&wire.Publish{Topic: "s", QoS: 1})
			Next(t, sub)
			for range 100 {
				require.NoError(t, c.Publish(t.Context(), "t", nil, mqtt.AtLeastOnce))
			}
		})
	}
}
