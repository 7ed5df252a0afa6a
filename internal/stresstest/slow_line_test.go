package stresstest

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/internal/authority"
	"github.com/seed65a45251/mqtt/internal/pipe"
)

// slowLine is a network between a client and our broker that carries rate bytes a
// second in each direction, after what its buffers take. It stops when told to.
type slowLine struct {
	broker  *broker.Broker
	rate    int
	buffer  int // of each half of the line
	secure  *tls.Config
	web     bool
	custom  bool // neither side knows what its connection is
	stopped atomic.Bool
	dials   atomic.Int32
	over    chan struct{}
	lines   sync.WaitGroup
}

// newSlowLine makes a line for a scheme and a broker at its end.
func newSlowLine(t *testing.T, scheme string, cfg broker.Config, rate int) *slowLine {
	cfg.Authenticators = []broker.Authenticator{broker.AllowAll{}}
	l := &slowLine{broker: broker.New(cfg), rate: rate, buffer: 4 << 10, web: strings.HasPrefix(scheme, "ws"), over: make(chan struct{})}
	if scheme == "mqtts" || scheme == "wss" {
		l.secure = &tls.Config{Certificates: []tls.Certificate{authority.SelfSigned(t, "localhost")}}
	}
	return l
}

// end ends the line and the broker.
func (l *slowLine) end() {
	close(l.over)
	l.broker.Close()
	l.lines.Wait()
}

// unknown hides what a connection is.
type unknown struct{ net.Conn }

// Dial is for Config.Dial.
func (l *slowLine) Dial(context.Context, string, string) (net.Conn, error) {
	l.dials.Add(1)
	near, in := pipe.New(l.buffer)
	out, far := pipe.New(l.buffer)
	l.lines.Go(func() { l.carry(out, in) })
	l.lines.Go(func() { l.carry(in, out) })
	if l.custom {
		near, far = unknown{near}, unknown{far}
	}
	if l.secure != nil {
		far = tls.Server(far, l.secure)
	}
	if l.web {
		go l.serveWeb(far)
	} else {
		go l.broker.ServeConn(far)
	}
	return near, nil
}

// carry moves bytes from one to the other until either ends.
func (l *slowLine) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, max(l.rate/20, 1))
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		time.Sleep(time.Duration(n) * time.Second / time.Duration(l.rate))
		if l.stopped.Load() {
			<-l.over
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// serveWeb serves one connection over WebSocket.
func (l *slowLine) serveWeb(nc net.Conn) {
	ln := pipe.Listen(1)
	server := &http.Server{Handler: l.broker}
	server.Serve(&oneConn{Listener: ln, nc: nc})
}

// oneConn is a listener that accepts one connection.
type oneConn struct {
	net.Listener
	nc net.Conn
}

func (l *oneConn) Accept() (net.Conn, error) {
	if nc := l.nc; nc != nil {
		l.nc = nil
		return nc, nil
	}
	return nil, io.EOF
}

// connect makes a client over the line.
func (l *slowLine) connect(t *testing.T, scheme string, cfg mqtt.Config) *mqtt.Client {
	t.Helper()
	cfg.Dial, cfg.TLS = l.Dial, &tls.Config{InsecureSkipVerify: true}
	client, err := mqtt.Connect(t.Context(), scheme+"://broker", cfg)
	require.NoError(t, err)
	return client
}

// schemes are those of all transports.
var schemes = []string{"mqtt", "mqtts", "ws", "wss"}

func TestSlowLineIsNoDeadOne(t *testing.T) {
	for _, line := range []struct {
		name         string
		rate, buffer int
		payload      int
		custom       bool
	}{
		{"1 Mbit", 125_000, 64 << 10, 16<<20 - 100, false},
		{"100 kbit", 12_500, 64 << 10, 2 << 20, true},
		{"2 KB", 2000, 4 << 10, 300_000, false},
		{"2 KB, deep buffers", 2000, 64 << 10, 300_000, false},
		{"2 KB, custom", 2000, 4 << 10, 300_000, true},
	} {
		for _, scheme := range schemes {
			t.Run(line.name+" "+scheme, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newSlowLine(t, scheme, broker.Config{}, line.rate)
					defer l.end()
					l.buffer, l.custom = line.buffer, line.custom
					client := l.connect(t, scheme, mqtt.Config{})
					defer client.Close()
					sub, err := client.Subscribe(t.Context(), "t", mqtt.AtLeastOnce)
					require.NoError(t, err)
					require.NoError(t, client.Publish(t.Context(), "t", make([]byte, line.payload), mqtt.AtLeastOnce))
					m, err := sub.Next(t.Context())
					require.NoError(t, err)
					require.Len(t, m.Payload, line.payload)
					require.NoError(t, client.Flush(t.Context()))
					require.EqualValues(t, 1, l.dials.Load(), "connections")
				})
			})
		}
	}
}

func TestLineThatTricklesIsNoDeadOne(t *testing.T) {
	for _, scheme := range schemes {
		t.Run(scheme, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// What nobody knows below TLS is seen record by record only; so there the
				// limits of the broker are wide.
				l := newSlowLine(t, scheme, broker.Config{ConnectTimeout: 3 * time.Hour, WriteTimeout: time.Hour}, 1)
				defer l.end()
				l.buffer = 16
				client := l.connect(t, scheme, mqtt.Config{ConnectTimeout: 3 * time.Hour, WriteTimeout: time.Second + time.Millisecond, KeepAlive: time.Hour})
				defer client.Close()
				sub, err := client.Subscribe(t.Context(), "t", mqtt.AtLeastOnce)
				require.NoError(t, err)
				require.NoError(t, client.Publish(t.Context(), "t", make([]byte, 3000), mqtt.AtLeastOnce))
				_, err = sub.Next(t.Context())
				require.NoError(t, err)
				require.EqualValues(t, 1, l.dials.Load(), "connections")
			})
		})
	}
}

func TestLineThatStopsInThePacketIsNoticed(t *testing.T) {
	for _, scheme := range schemes {
		t.Run(scheme, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newSlowLine(t, scheme, broker.Config{}, 2000)
				defer l.end()
				client := l.connect(t, scheme, mqtt.Config{WriteTimeout: 7 * time.Second})
				defer client.Close()
				_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: make([]byte, 1<<20), QoS: mqtt.AtLeastOnce})
				require.NoError(t, err)
				time.Sleep(time.Minute)
				require.Zero(t, client.Stats().Lost)
				events := client.Watch(t.Context())
				begun := time.Now()
				l.stopped.Store(true)
				for e := range events {
					if e.State == mqtt.Reconnecting {
						break
					}
				}
				require.InDelta(t, 7, time.Since(begun).Seconds(), 1)
			})
		})
	}
}

func TestCloseDoesNotWaitForASlowLine(t *testing.T) {
	for _, scheme := range schemes {
		for _, stopped := range []bool{false, true} {
			t.Run(scheme, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newSlowLine(t, scheme, broker.Config{}, 2000)
					defer l.end()
					client := l.connect(t, scheme, mqtt.Config{})
					_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: make([]byte, 1<<20), QoS: mqtt.AtLeastOnce})
					require.NoError(t, err)
					time.Sleep(time.Minute)
					l.stopped.Store(stopped)
					begun := time.Now()
					require.NoError(t, client.Close())
					require.LessOrEqual(t, time.Since(begun), 2*time.Second)
				})
			})
		}
	}
}

func TestHandshakeOverASlowLine(t *testing.T) {
	for _, scheme := range schemes {
		t.Run(scheme, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newSlowLine(t, scheme, broker.Config{}, 2000)
				defer l.end()
				will := &mqtt.Will{Message: mqtt.Message{Topic: "t", Payload: make([]byte, 60_000)}}
				begun := time.Now()
				client := l.connect(t, scheme, mqtt.Config{Will: will})
				require.Greater(t, time.Since(begun), 30*time.Second, "it takes longer than the time-outs")
				require.EqualValues(t, 1, l.dials.Load())
				require.NoError(t, client.Close())
			})
		})
	}
}

func TestHandshakeThatStandsStillIsGivenUp(t *testing.T) {
	for _, scheme := range schemes {
		t.Run(scheme, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newSlowLine(t, scheme, broker.Config{ConnectTimeout: time.Hour}, 2000)
				defer l.end()
				time.AfterFunc(5*time.Second, func() { l.stopped.Store(true) })
				begun := time.Now()
				_, err := mqtt.Connect(t.Context(), scheme+"://broker", mqtt.Config{Dial: l.Dial, TLS: &tls.Config{InsecureSkipVerify: true},
					Will: &mqtt.Will{Message: mqtt.Message{Topic: "t", Payload: make([]byte, 60_000)}}})
				require.ErrorContains(t, err, "no CONNACK within the connect timeout")
				require.InDelta(t, 20, time.Since(begun).Seconds(), 1)
			})
		})
	}
}

// A server that says a byte now and then does not keep us from the next one.
func TestHandshakeOfBytesNowAndThenIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.New(0)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				time.Sleep(5 * time.Second)
				if _, err := far.Write([]byte{'H'}); err != nil {
					return
				}
			}
		}()
		begun := time.Now()
		_, err := mqtt.Connect(t.Context(), "ws://host", mqtt.Config{Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil }})
		require.Error(t, err)
		require.Equal(t, 15*time.Second, time.Since(begun))
		<-done
	})
}
