package broker

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

// placed is a connection from an address.
type placed struct {
	net.Conn
	from net.Addr
}

func (c placed) RemoteAddr() net.Addr { return c.from }

// dialFrom connects from an address.
func dialFrom(t *testing.T, b *Broker, address string, v wire.Version) *script {
	t.Helper()
	near, far := pipe.New(0)
	c, err := b.admit(newConn(&b.hub, placed{far, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 1000))}, nil))
	require.NoError(t, err)
	go b.serveConn(c)
	t.Cleanup(func() { near.Close() })
	return &script{t: t, net: near, version: v, reader: wire.NewReader(near, v, 0), decoder: wire.Decoder{Version: v}}
}

func (s *script) login(id, user string) wire.ReasonCode {
	s.t.Helper()
	s.send(&wire.Connect{ClientID: id, CleanStart: true, Username: &user})
	return receive[*wire.Connack](s).ReasonCode
}

func (s *script) isOpen() bool {
	_, err := s.next()
	return err != nil && err != io.EOF
}

func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	for name, address := range map[string]func(i int) string{
		"one address":    func(int) string { return "127.0.0.1" },
		"many addresses": func(i int) string { return fmt.Sprintf("127.1.%d.%d", i/200, i%200) },
	} {
		run(t, Config{Connections: 70, Authenticators: []Authenticator{AuthenticatorFunc(func(context.Context, *Login) Decision { return Allow() })}}, func(t *testing.T, b *Broker) {
			var silent []*script
			for i := range 200 {
				silent = append(silent, dialFrom(t, b, address(i), wire.V311))
			}
			for i := range 70 {
				require.Equal(t, wire.Success, dialFrom(t, b, "127.0.0.1", wire.V311).login(fmt.Sprint(i), "alice"), name)
			}
			synctest.Wait()
			require.Equal(t, 70, b.Stats().Connected)
			require.LessOrEqual(t, b.Stats().Connections, 2*70)
			require.False(t, silent[0].isOpen())
			require.True(t, silent[199].isOpen() || name == "one address")
		})
	}
}

// Whoever fills the space with an address of its own loses there first.
func TestTheBusiestAddressLosesItsSilentOnes(t *testing.T) {
	run(t, Config{Connections: 1, Authenticators: []Authenticator{AuthenticatorFunc(func(context.Context, *Login) Decision { return Allow() })}}, func(t *testing.T, b *Broker) {
		first := dialFrom(t, b, "10.0.0.1", wire.V5)
		for range excessMaximum + 10 {
			dialFrom(t, b, "2001:db8::1", wire.V5)
			dialFrom(t, b, "2001:db8::2", wire.V5)
		}
		synctest.Wait()
		require.True(t, first.isOpen())
		require.Equal(t, excessMaximum, b.Stats().Connections)
		require.Equal(t, wire.Success, first.login("a", "alice"))
	})
}

func TestAGreedyUserLosesItsOwnConnections(t *testing.T) {
	run(t, Config{Connections: 10, Authenticators: []Authenticator{AuthenticatorFunc(func(context.Context, *Login) Decision { return Allow() })}}, func(t *testing.T, b *Broker) {
		var greedy []*script
		for i := range 10 {
			s := dialFrom(t, b, fmt.Sprintf("10.0.0.%d", i), wire.V5)
			require.Equal(t, wire.Success, s.login(fmt.Sprint("m", i), "mallory"))
			greedy = append(greedy, s)
		}
		require.Equal(t, wire.ServerBusy, dialFrom(t, b, "10.0.1.1", wire.V5).login("m", "mallory"))
		for i := range 5 {
			require.Equal(t, wire.Success, dialFrom(t, b, "10.0.2.1", wire.V5).login(fmt.Sprint("a", i), "alice"))
		}
		// Now they have as many.
		require.Equal(t, wire.ServerBusy, dialFrom(t, b, "10.0.2.1", wire.V5).login("a", "alice"))
		require.Equal(t, 10, b.Stats().Connected)
		greedy[9].ended(wire.QuotaExceeded)
		require.True(t, greedy[0].isOpen())
		// A client that comes again takes its own place.
		require.Equal(t, wire.Success, dialFrom(t, b, "10.0.2.1", wire.V5).login("m0", "mallory"))
		require.Equal(t, wire.Success, dialFrom(t, b, "10.0.2.1", wire.V5).login("a0", "alice"))
	})
}

// A refused connection takes nobody's place, not even while it is told so.
func TestRefusedConnectionsTakeNoPlace(t *testing.T) {
	run(t, Config{Connections: 1}, func(t *testing.T, b *Broker) {
		for range 3 * lingerMaximum {
			s := dial(t, b, wire.V5)
			s.send(&wire.Connect{ClientID: "c", Will: &wire.Will{Topic: "a", QoS: 1}, CleanStart: true, AuthenticationMethod: "none"})
			require.Equal(t, wire.BadAuthenticationMethod, receive[*wire.Connack](s).ReasonCode)
		}
		synctest.Wait()
		require.EqualValues(t, lingerMaximum, b.counts.lingering.Load())
		clean(t, b, "a")
		advance(lingerTimeout)
		require.Equal(t, 1, b.Stats().Connections)
		require.Zero(t, b.counts.lingering.Load())
		require.Zero(t, b.doors.waiting)
		require.Zero(t, b.doors.silent.Len())
	})
}

// A connection that has lost its session does not count while it says goodbye.
func TestClientsThatLeaveMakeRoomAtOnce(t *testing.T) {
	run(t, Config{Connections: 1}, func(t *testing.T, b *Broker) {
		for i := range 20 {
			s := clean(t, b, fmt.Sprint(i))
			require.True(t, b.Disconnect(fmt.Sprint(i), wire.AdministrativeAction))
			require.Equal(t, wire.AdministrativeAction, receive[*wire.Disconnect](s).ReasonCode)
		}
		advance(time.Second)
		require.Zero(t, b.doors.clients.Len())
	})
}
