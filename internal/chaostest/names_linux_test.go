package chaostest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
)

// nameServer answers on loopback for one name. It is asked by a client's Resolver.
type nameServer struct {
	conn net.PacketConn

	mu      sync.Mutex // guards the rest
	says    answer
	asked   int // for an IPv4 address of the name, since says has changed
	changed chan struct{}
}

// answer is what a name server does with a question.
type answer struct {
	name  string
	code  dnsmessage.RCode
	to    string // the address of the host
	mute  bool   // it does not answer
	noise bool   // it answers with bytes that mean nothing
	// missing says that the client takes the host for one that does not exist.
	missing bool
}

const hostName = "broker.example."

// failing are the ways in which a name cannot be resolved.
var failing = []answer{
	{name: "NXDOMAIN", code: dnsmessage.RCodeNameError, missing: true},
	{name: "SERVFAIL", code: dnsmessage.RCodeServerFailure},
	{name: "REFUSED", code: dnsmessage.RCodeRefused},
	{name: "no address", missing: true},
	{name: "no answer", mute: true},
	{name: "noise", noise: true},
}

// at is the answer that the host has an address.
func at(to string) answer { return answer{name: to, to: to} }

func newNameServer(t *testing.T, says answer) *nameServer {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &nameServer{conn: conn, says: says, changed: make(chan struct{})}
	var serving sync.WaitGroup
	serving.Go(s.serve)
	t.Cleanup(func() {
		conn.Close()
		serving.Wait()
	})
	return s
}

// resolver asks s and nobody else.
func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

// say changes the answer.
func (s *nameServer) say(a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says, s.asked = a, 0
}

// wait returns when the present answer was asked for n times.
func (s *nameServer) wait(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		asked, changed := s.asked, s.changed
		s.mu.Unlock()
		if asked >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("asked %d times of %d: %w", asked, n, ctx.Err())
		}
	}
}

func (s *nameServer) serve() {
	b := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(b)
		if err != nil {
			return
		}
		if reply := s.reply(b[:n]); reply != nil {
			_, _ = s.conn.WriteTo(reply, from) // who asks again gets another
		}
	}
}

// reply returns the answer to a question, or nil if there is none.
func (s *nameServer) reply(question []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := m.Questions[0]
	if q.Type == dnsmessage.TypeA {
		s.asked++
		close(s.changed)
		s.changed = make(chan struct{})
	}
	m = dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: true, RecursionAvailable: true, RCode: s.says.code},
		Questions: m.Questions,
	}
	switch {
	case s.says.mute:
		return nil
	case s.says.noise:
		return []byte(strings.Repeat("noise", 20))
	case s.says.to != "" && q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 3600},
			Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(s.says.to).To4())},
		}}
	}
	reply, err := m.Pack()
	if err != nil {
		return nil
	}
	return reply
}

// named is a server with a name, and with two addresses of which its name says one.
type named struct {
	names *nameServer
	ways  [2]*faultproxy.Proxy
	hosts [2]string
	port  string // of both
}

func newNamed(t *testing.T, server string, says answer) *named {
	n := &named{names: newNameServer(t, says), hosts: [2]string{"127.0.0.1", "127.0.0.2"}}
	dial := func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", server) }
	for n.port == "" {
		first, err := net.Listen("tcp", n.hosts[0]+":0")
		require.NoError(t, err)
		_, port, err := net.SplitHostPort(first.Addr().String())
		require.NoError(t, err)
		second, err := net.Listen("tcp", net.JoinHostPort(n.hosts[1], port))
		if err != nil {
			first.Close() // somebody else has the port there
			continue
		}
		n.ways = [2]*faultproxy.Proxy{faultproxy.NewListener(t, first, dial), faultproxy.NewListener(t, second, dial)}
		n.port = port
	}
	return n
}

func (n *named) address() address { return address{url: "mqtt://" + hostName + ":" + n.port} }

func (n *named) config(name string, v mqtt.Version) mqtt.Config {
	cfg := n.address().config(name, v)
	cfg.Resolver, cfg.KeepAlive = n.names.resolver(), time.Minute
	cfg.ConnectTimeout = time.Second // after which no answer is a failure
	return cfg
}

// TestErrorOfConnectNamesTheLookup tries once, and as long as its context lets it.
func TestErrorOfConnectNamesTheLookup(t *testing.T) {
	t.Parallel()
	for _, a := range failing {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			n := newNamed(t, "127.0.0.1:1", a)
			cfg := n.config("", mqtt.V5)
			cfg.RetryFirst = false
			_, err := mqtt.Connect(t.Context(), n.address().url, cfg)
			require.Equal(t, a.missing, requireLookup(t, err).IsNotFound, "%v", err)

			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n.names.say(a)
			connecting := Begin(func() error {
				_, err := mqtt.Connect(ctx, n.address().url, n.config("", mqtt.V5))
				return err
			})
			require.NoError(t, n.names.wait(t.Context(), 3))
			cancel()
			err = connecting.Wait()
			requireLookup(t, err)
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

func requireLookup(t *testing.T, err error) *net.DNSError {
	t.Helper()
	lookup, ok := errors.AsType[*net.DNSError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, hostName, lookup.Name)
	require.ErrorContains(t, err, "lookup "+hostName)
	return lookup
}

// TestClientGetsInWhenItsNameIsKnown has the name server fail in every way first, while
// the client tries.
func TestClientGetsInWhenItsNameIsKnown(t *testing.T) {
	eachServer(t, func(t *testing.T, server string, v mqtt.Version) {
		n := newNamed(t, server, failing[0])
		var client *mqtt.Client
		connecting := Begin(func() (err error) {
			client, err = mqtt.Connect(t.Context(), n.address().url, n.config("late", v))
			return err
		})
		for _, a := range failing {
			n.names.say(a)
			require.NoError(t, n.names.wait(t.Context(), 2), a.name)
			require.Zero(t, n.ways[0].Stats().Accepted, a.name)
		}
		n.names.say(at(n.hosts[0]))
		require.NoError(t, connecting.Wait())
		t.Cleanup(func() { client.Close() })
		require.NoError(t, client.Publish(t.Context(), "x", nil, mqtt.ExactlyOnce))
		require.NoError(t, client.Disconnect(t.Context()))
		require.Zero(t, n.ways[1].Stats().Accepted)
	})
}

// TestClientFollowsItsServerToAnotherAddress has the old address go on serving: the
// client must not come back there when its name says something else, or nothing at all.
func TestClientFollowsItsServerToAnotherAddress(t *testing.T) {
	eachServer(t, func(t *testing.T, server string, v mqtt.Version) {
		n := newNamed(t, server, at("127.0.0.1"))
		ctx := t.Context()
		client := n.address().connect(t, n.config("moving", v))
		sub, err := client.Subscribe(ctx, "x/+", mqtt.ExactlyOnce)
		require.NoError(t, err)
		require.Equal(t, net.JoinHostPort(n.hosts[0], n.port), client.ServerInfo().Address)

		accepted := n.ways[0].Stats().Accepted
		n.names.say(failing[0])
		n.ways[0].Drop()
		require.NoError(t, n.names.wait(ctx, 1))
		plain := address{url: "mqtt://" + server}
		other := plain.connect(t, plain.config("other", v))
		for i := range 20 { // they wait in the session
			require.NoError(t, other.Publish(ctx, "x/other", fmt.Append(nil, i), mqtt.ExactlyOnce))
		}
		own, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "x/own", QoS: mqtt.ExactlyOnce})
		require.NoError(t, err)
		for _, a := range failing {
			n.names.say(a)
			require.NoError(t, n.names.wait(ctx, 2), a.name)
		}
		require.NotEqual(t, mqtt.Connected, client.State())
		require.Zero(t, n.ways[1].Stats().Accepted)

		n.names.say(at(n.hosts[1]))
		_, err = own.Wait(ctx)
		require.NoError(t, err)
		var others, owns int
		for others < 20 || owns < 1 {
			m, err := sub.Next(ctx)
			require.NoError(t, err)
			if m.Topic == "x/own" {
				owns++
				continue
			}
			require.Equal(t, fmt.Sprint(others), string(m.Payload))
			others++
		}
		require.Equal(t, net.JoinHostPort(n.hosts[1], n.port), client.ServerInfo().Address)
		require.NoError(t, client.Disconnect(ctx))
		require.Equal(t, accepted, n.ways[0].Stats().Accepted)
	})
}
