package stresstest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/reconnect"
)

// sockets are the connections that a client has made and not closed.
type sockets struct {
	mu   sync.Mutex
	open map[*socket]struct{}
}

type socket struct {
	*net.TCPConn
	of *sockets
}

func (s *sockets) dial(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	k := &socket{nc.(*net.TCPConn), s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*socket]struct{})
	}
	s.open[k] = struct{}{}
	return k, nil
}

func (k *socket) Close() error {
	k.of.mu.Lock()
	delete(k.of.open, k)
	k.of.mu.Unlock()
	return k.TCPConn.Close()
}

func (s *sockets) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// reset resets one of them.
func (s *sockets) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.open {
		_ = k.SetLinger(0)
		k.TCPConn.Close()
		return
	}
}

// clientGoroutines returns the stacks of those of clients.
func clientGoroutines() (stacks []string) {
	text := make([]byte, 4<<20)
	text = text[:runtime.Stack(text, true)]
	for stack := range strings.SplitSeq(string(text), "\n\n") {
		if strings.Contains(stack, "seed65a45251/mqtt.") || strings.Contains(stack, "internal/transport.") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// wantNothingLeft waits until no client has a goroutine, or a socket in s.
func wantNothingLeft(t *testing.T, s *sockets) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		left := clientGoroutines()
		if len(left) == 0 && s.len() == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d sockets are open, and goroutines run:\n%s", s.len(), strings.Join(left, "\n\n"))
		}
	}
}

// inTime fails the test where f does not return.
func inTime(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s hangs:\n%s", what, strings.Join(clientGoroutines(), "\n\n"))
	}
}

func TestConnectGivenUpAtAnyMomentLeavesNothing(t *testing.T) {
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	b := broker.New(broker.Config{TLS: &tls.Config{Certificates: web.TLS.Certificates}})
	defer b.Close()
	for scheme, network := range map[string]string{"mqtt": "tcp", "mqtts": "tls", "ws": "ws", "wss": "wss"} {
		t.Run(scheme, func(t *testing.T) {
			addr, err := b.Listen(t.Context(), network, "127.0.0.1:0")
			require.NoError(t, err)
			var s sockets
			longest := 4 * time.Millisecond // that it may take
			for i := range 150 {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(rand.N(longest), cancel)
				cfg := mqtt.Config{ClientID: fmt.Sprint("c", i%3), Dial: s.dial, TLS: &tls.Config{InsecureSkipVerify: true}}
				client, err := mqtt.Connect(ctx, scheme+"://"+addr.String(), cfg)
				cancel()
				if err != nil {
					require.ErrorIs(t, err, context.Canceled)
					longest = longest * 11 / 10
					continue
				}
				longest = longest * 10 / 11
				require.NoError(t, client.Close())
				require.Zero(t, s.len())
			}
			wantNothingLeft(t, &s)
		})
	}
}

// harmless are the errors of calls while connections break and the client ends.
func harmless(err error) bool {
	for _, known := range []error{nil, mqtt.ErrClosed, mqtt.ErrConnectionLost, mqtt.ErrUnsubscribed, context.Canceled, errEnough,
		// Of a message in a session that may not have been continued.
		mqtt.PacketIdentifierNotFound} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

var errEnough = errors.New("enough messages")

func TestClientInFullUseEndsWhole(t *testing.T) {
	b := broker.New(broker.Config{})
	defer b.Close()
	addr, err := b.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	for round := range 4 {
		var s sockets
		client, err := mqtt.Connect(t.Context(), "mqtt://"+addr.String(), mqtt.Config{
			ClientID: fmt.Sprint("x", round), Dial: s.dial, Resume: round%2 == 0, KeepAlive: time.Second,
			Reconnect: reconnect.Policy{Min: time.Millisecond, Max: 5 * time.Millisecond},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		u := &user{client: client}
		var calls sync.WaitGroup
		for _, f := range []func(context.Context) error{
			u.publish, u.publish, u.publishLarge, u.flush, u.subscribe, u.subscribeOwn, u.handle,
			func(context.Context) error { time.Sleep(7 * time.Millisecond); s.reset(); return nil },
			func(ctx context.Context) error { time.Sleep(11 * time.Millisecond); return client.Reconnect(ctx) },
		} {
			calls.Go(func() {
				for ctx.Err() == nil {
					if err := f(ctx); !harmless(err) {
						t.Error(err)
						return
					}
				}
			})
		}
		time.Sleep(300*time.Millisecond + rand.N(500*time.Millisecond))
		inTime(t, "the end", func() {
			if round < 2 {
				client.Close()
				return
			}
			short, stop := context.WithTimeout(context.Background(), rand.N(200*time.Millisecond))
			defer stop()
			_ = client.Disconnect(short)
		})
		<-client.Done()
		// A call that is about to connect ends by itself.
		require.LessOrEqual(t, int64(s.len()), u.connecting.Load())
		cancel()
		inTime(t, "a call", calls.Wait)
		wantNothingLeft(t, &s)
		stats := client.Stats()
		require.Equal(t, stats.Connections, stats.Lost)
	}
}

// user makes calls of a client.
type user struct {
	client     *mqtt.Client
	connecting atomic.Int64 // calls that may make a connection of their own
}

func (u *user) publish(ctx context.Context) error {
	return u.client.Publish(ctx, fmt.Sprint("t/", rand.IntN(3)), make([]byte, rand.IntN(2000)), mqtt.QoS(rand.IntN(3)))
}

func (u *user) publishLarge(ctx context.Context) error {
	return u.client.Publish(ctx, "t/large", make([]byte, 300<<10), mqtt.QoS(rand.IntN(2)))
}

func (u *user) flush(ctx context.Context) error {
	time.Sleep(time.Millisecond)
	u.client.Stats()
	return u.client.Flush(ctx)
}

// subscribe takes some messages and then drains or unsubscribes.
func (u *user) subscribe(ctx context.Context) error {
	sub, err := u.client.Subscribe(ctx, "t/+", mqtt.QoS(rand.IntN(3)))
	if err != nil {
		return err
	}
	for range 20 {
		if _, err := sub.Next(ctx); err != nil {
			break
		}
	}
	if rand.IntN(2) == 0 {
		return sub.Unsubscribe(ctx)
	}
	go func() {
		for range sub.Messages() {
		}
	}()
	if err := sub.Drain(ctx); err != nil {
		return errors.Join(err, sub.Unsubscribe(ctx))
	}
	return nil
}

func (u *user) subscribeOwn(ctx context.Context) error {
	u.connecting.Add(1)
	sub, err := u.client.SubscribeWith(ctx, mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "t/0", QoS: mqtt.AtLeastOnce}}, OwnConnection: true})
	u.connecting.Add(-1)
	if err != nil {
		return err
	}
	for range 5 {
		if _, err := sub.Next(ctx); err != nil {
			break
		}
	}
	return sub.Unsubscribe(ctx)
}

func (u *user) handle(ctx context.Context) error {
	u.connecting.Add(1)
	defer u.connecting.Add(-1)
	n := 0
	o := mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "t/1", QoS: mqtt.AtLeastOnce}}, OwnConnection: rand.IntN(2) == 0}
	return u.client.Handle(ctx, o, func(context.Context, *mqtt.Message) error {
		if n++; n > 7 {
			return errEnough
		}
		return nil
	})
}
