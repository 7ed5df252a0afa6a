package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/authority"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

// A client that connects again loses nothing of what it sent before, and its goodbye
// counts, however soon it comes back.
func TestATakeOverReadsWhatHasArrived(t *testing.T) {
	for network, rounds := range map[string]int{"tcp": 300, "tls": 60, "ws": 60, "wss": 30, "memory": 100, "foreign tls": 30, "unix": 60} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			certificate := authority.SelfSigned(t, "localhost")
			roots := x509.NewCertPool()
			roots.AddCert(certificate.Leaf)
			b := New(Config{TLS: &tls.Config{Certificates: []tls.Certificate{certificate}}})
			defer b.Close()
			again := reconnecter(t, b, network, &tls.Config{RootCAs: roots, ServerName: "localhost"})
			seen, err := b.Subscribe("#", 1+rounds*(messagesBefore+1))
			require.NoError(t, err)

			for round := range rounds {
				old := overSocket(t, again(), wire.V5)
				old.send(&wire.Connect{ClientID: "c", CleanStart: true, Will: &wire.Will{Topic: "will"}})
				receive[*wire.Connack](old)
				var last []wire.Packet
				for i := range messagesBefore {
					last = append(last, message0("t", fmt.Sprint(round, i)))
				}
				if round%3 != 0 {
					last = append(last, &wire.Disconnect{})
				}
				fresh := overSocket(t, again(), wire.V5)
				old.send(last...)
				if round%3 == 1 {
					old.net.Close()
				}
				fresh.send(&wire.Connect{ClientID: "c", CleanStart: true})
				receive[*wire.Connack](fresh)
				for i := range messagesBefore {
					require.Equal(t, fmt.Sprint(round, i), string((<-seen.Messages()).Payload))
				}
				if round%3 == 0 {
					require.Equal(t, "will", (<-seen.Messages()).Topic)
				}
				require.Empty(t, seen.Messages())
				fresh.net.Close()
				old.net.Close()
			}
		})
	}
}

// The same for connections of which nobody knows what has arrived: what counts is
// that nothing comes for a while.
func TestATakeOverWaitsForUnknownConnectionsToBeSilent(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		seen, err := b.Subscribe("#", 1000)
		require.NoError(t, err)
		for range 20 {
			old := dialFrom(t, b, "10.0.0.1", wire.V5)
			old.send(&wire.Connect{ClientID: "c", CleanStart: true, Will: &wire.Will{Topic: "will"}})
			receive[*wire.Connack](old)
			fresh := dialFrom(t, b, "10.0.0.1", wire.V5)
			old.send(message0("t", ""), &wire.Disconnect{})
			fresh.send(&wire.Connect{ClientID: "c", CleanStart: true})
			receive[*wire.Connack](fresh)
			fresh.send(&wire.Disconnect{})
			fresh.closed()
		}
		require.Len(t, seen.Messages(), 20)
		for range 20 {
			require.Equal(t, "t", (<-seen.Messages()).Topic)
		}
	})
}

// messagesBefore is how many messages a client sends before it connects again.
const messagesBefore = 20

// reconnecter returns a function that makes a new connection to b.
func reconnecter(t *testing.T, b *Broker, network string, secure *tls.Config) func() net.Conn {
	dial := func(f func() (net.Conn, error)) func() net.Conn {
		return func() net.Conn {
			nc, err := f()
			require.NoError(t, err)
			return nc
		}
	}
	switch network {
	case "memory":
		return dial(func() (net.Conn, error) { return b.Dial(t.Context()) })
	case "foreign tls": // of which the broker sees records only
		ln, err := tls.Listen("tcp", "127.0.0.1:0", b.cfg.TLS)
		require.NoError(t, err)
		require.True(t, b.start(func() { _ = b.Serve(context.Background(), ln) }))
		return dial(func() (net.Conn, error) { return tls.Dial("tcp", ln.Addr().String(), secure) })
	case "unix":
		path := filepath.Join(t.TempDir(), "mqtt")
		_, err := b.Listen(context.Background(), "unix", path)
		require.NoError(t, err)
		return dial(func() (net.Conn, error) { return net.Dial("unix", path) })
	}
	addr, err := b.Listen(context.Background(), network, "127.0.0.1:0")
	require.NoError(t, err)
	switch network {
	case "tls":
		return dial(func() (net.Conn, error) { return tls.Dial("tcp", addr.String(), secure) })
	case "ws", "wss":
		transport := &http.Transport{TLSClientConfig: secure, DisableKeepAlives: true}
		o := offer("mqtt")
		o.HTTPClient = &http.Client{Transport: transport}
		return dial(func() (net.Conn, error) {
			ws, _, err := websocket.Dial(t.Context(), network+"://"+addr.String(), o)
			if err != nil {
				return nil, err
			}
			return websocket.NetConn(context.Background(), ws, websocket.MessageBinary), nil
		})
	}
	return dial(func() (net.Conn, error) { return net.Dial("tcp", addr.String()) })
}

// Half a packet, or answers that nobody takes, make no successor wait.
func TestATakeOverWaitsForNothingThatMayCome(t *testing.T) {
	for name, prepare := range map[string]func(old *script){
		"silent": func(*script) {},
		"half a packet": func(old *script) {
			old.write([]byte{0x30, 100, 0, 1, 't'})
		},
		"takes no answers": func(old *script) {
			for old.net.(*pipe.Conn).Unread() == 0 {
				old.write([]byte(strings.Repeat("\xc0\x00", 1000)))
				synctest.Wait()
			}
			old.send(message0("t", "behind"))
		},
	} {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			seen, err := b.Subscribe("t", 2)
			require.NoError(t, err)
			old, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
			prepare(old)
			synctest.Wait()
			begun := time.Now()
			_, ack := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
			require.True(t, ack.SessionPresent)
			require.Less(t, time.Since(begun), patience, name)
			if name == "takes no answers" {
				require.Equal(t, "behind", string((<-seen.Messages()).Payload))
			}
			require.Empty(t, seen.Messages())
		})
	}
}

// A client that has reset its connection while the broker was writing has said
// goodbye all the same.
func TestAGoodbyeBeforeAResetCounts(t *testing.T) {
	b := New(Config{})
	defer b.Close()
	again := reconnecter(t, b, "tcp", nil)
	seen, err := b.Subscribe("#", 10_000)
	require.NoError(t, err)
	const rounds = 100
	for range rounds {
		s := overSocket(t, again(), wire.V5)
		s.send(&wire.Connect{ClientID: "c", CleanStart: true, Will: &wire.Will{Topic: "will"}})
		receive[*wire.Connack](s)
		// Answers meet a socket that is closed. One write, or the client's system would
		// throw away what it has not sent yet.
		var last []wire.Packet
		for id := range uint16(20) {
			last = append(last, &wire.Publish{Topic: "t", QoS: 1, PacketID: 1 + id})
		}
		s.send(&wire.Pingreq{})
		s.send(append(last, message0("t", ""), &wire.Disconnect{})...)
		s.net.Close()
	}
	s := overSocket(t, again(), wire.V5)
	s.send(&wire.Connect{ClientID: "c", CleanStart: true})
	receive[*wire.Connack](s)
	require.Len(t, seen.Messages(), 21*rounds)
	for range 21 * rounds {
		require.Equal(t, "t", (<-seen.Messages()).Topic)
	}
}
