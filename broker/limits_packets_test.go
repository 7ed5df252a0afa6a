package broker

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// begun is the beginning of a PUBLISH of a megabyte, without its last byte.
func begun() []byte {
	b, _ := (&wire.Publish{Topic: "t", Payload: make([]byte, 1<<20)}).Append(nil, wire.V311)
	return b[:len(b)-1]
}

// All packets that are not whole are bounded together; who has most of them ends, and
// others go on.
func TestUnfinishedPacketsAreBoundedTogether(t *testing.T) {
	anyone := AuthenticatorFunc(func(context.Context, *Login) Decision { return Allow() })
	run(t, Config{MaximumPacketSize: 2 << 20, Authenticators: []Authenticator{anyone}}, func(t *testing.T, b *Broker) {
		half := begun()
		login := func(id, user string) *script {
			s := dialFrom(t, b, "10.0.0.1", wire.V311)
			require.Equal(t, wire.Success, s.login(id, user))
			return s
		}
		alice := login("alice", "alice")
		for i := range 200 {
			s := login(fmt.Sprint("m", i), "mallory")
			_, _ = s.net.Write(half) // some are cut
		}
		synctest.Wait()
		require.LessOrEqual(t, b.packets.used.Load(), b.packets.limit)
		require.Greater(t, b.packets.used.Load(), b.packets.limit/2)
		require.Less(t, b.Stats().Connected, 70)

		seen, err := b.Subscribe("t", 10)
		require.NoError(t, err)
		for range 5 {
			alice.write(half)
			alice.write(half[:1])
		}
		synctest.Wait()
		require.Len(t, seen.Messages(), 5)
		b.DropConnections()
		require.Zero(t, b.packets.used.Load())
		require.Empty(t, b.packets.holders)
	})
}

// Before CONNECT is whole it may be large, but not on many connections.
func TestUnfinishedConnectsAreBoundedTogether(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		large := &wire.Connect{ClientID: "c", CleanStart: true, Will: &wire.Will{Topic: "w", Payload: make([]byte, 60_000)}}
		whole, err := large.Append(nil, wire.V5)
		require.NoError(t, err)
		for i := range 2 * bulkyMaximum {
			s := dialFrom(t, b, fmt.Sprintf("10.1.%d.%d", i/200, i%200), wire.V5)
			s.write(whole[:len(whole)-1])
			synctest.Wait()
		}
		require.Equal(t, bulkyMaximum, b.Stats().Connections)
		s := dialFrom(t, b, "10.0.0.1", wire.V5)
		s.write(whole)
		require.Equal(t, wire.Success, receive[*wire.Connack](s).ReasonCode)
		synctest.Wait()
		require.Equal(t, bulkyMaximum-1, b.doors.bulky.Len())
		b.DropConnections()
		require.Zero(t, b.doors.bulky.Len())
		require.Zero(t, b.connects.used.Load())
	})
}

// [MQTT-3.3.1-2] DUP has no meaning at QoS 0; 3.1 does not forbid it.
func TestDuplicateWithoutQoS(t *testing.T) {
	for _, v := range versions {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			s, _ := join(t, b, v, &wire.Connect{ClientID: "c", CleanStart: true})
			s.write([]byte{0x38, 4, 0, 1, 't', 0})
			if v == wire.V31 {
				s.idle()
				return
			}
			s.ended(wire.ProtocolError)
		})
	}
}

// [MQTT-3.14.0-1] before CONNACK a server says what is wrong by CONNACK or not at all.
func TestFaultsBeforeConnackGetNoDisconnect(t *testing.T) {
	good := "\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c"
	for name, test := range map[string]struct {
		bytes string
		code  wire.ReasonCode // 0: closed
	}{
		"another packet":      {"\xc0\x00", 0},
		"DISCONNECT":          {"\xe0\x00", 0},
		"reserved type":       {"\x00\x00", 0},
		"reserved flag":       {good[:9] + "\x03" + good[10:], wire.MalformedPacket},
		"flags of the header": {"\x11" + good[1:], wire.MalformedPacket},
		"duplicate property":  {"\x10\x12\x00\x04MQTT\x05\x02\x00\x00\x06\x21\x00\x01\x21\x00\x01\x00\x01c"[:20], wire.ProtocolError},
		"too large":           {"\x10\xff\xff\xff\x7f", 0},
		"not MQTT":            {"GET / HTTP/1.1\r\n\r\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Config{}, func(t *testing.T, b *Broker) {
				s := dial(t, b, wire.V5)
				s.write([]byte(test.bytes))
				if test.code != 0 {
					require.GreaterOrEqual(t, receive[*wire.Connack](s).ReasonCode, wire.UnspecifiedError)
				}
				s.closed()
			})
		})
	}
}
