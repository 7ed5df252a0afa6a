package broker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestFirstPacketMustBeConnect(t *testing.T) {
	for _, p := range []wire.Packet{
		message0("a", "b"),
		&wire.Pingreq{},
		&wire.Disconnect{},
		&wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: "M"},
	} {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			s := dial(t, b, wire.V5)
			s.send(p)
			s.closed()
		})
	}
}

func TestConnectHasToComeInTime(t *testing.T) {
	run(t, Config{ConnectTimeout: 3 * time.Second}, func(t *testing.T, b *Broker) {
		silent, half := dial(t, b, wire.V5), dial(t, b, wire.V5)
		half.write([]byte{0x10, 0x20, 0, 4})
		advance(3*time.Second - time.Millisecond)
		require.Equal(t, 2, b.Stats().Connections)
		advance(time.Millisecond)
		silent.closed()
		half.closed()
	})
}

func TestOtherProtocolIsClosedWithoutAnswer(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := dial(t, b, wire.V5)
		s.write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
		s.closed()
	})
}

func TestVersionsCanBeSwitchedOff(t *testing.T) {
	run(t, Config{Versions: []wire.Version{wire.V311}}, func(t *testing.T, b *Broker) {
		for v, ok := range map[wire.Version]bool{wire.V31: false, wire.V311: true, wire.V5: false} {
			s := dial(t, b, v)
			s.send(&wire.Connect{ClientID: "c", CleanStart: true})
			code := receive[*wire.Connack](s).ReasonCode
			require.Equal(t, ok, code == wire.Success)
			if !ok {
				require.Equal(t, wire.UnsupportedProtocolVersion, code)
				s.closed()
			}
		}
	})
}

func TestHookDecidesWhoMayConnect(t *testing.T) {
	cfg := Config{Authenticators: []Authenticator{AuthenticatorFunc(func(_ context.Context, l *Login) Decision {
		switch {
		case l.Username == "":
			return Pass()
		case string(l.Password) != "secret":
			return Deny(wire.BadUserNameOrPassword, "")
		}
		return Allow()
	})}}
	run(t, cfg, func(t *testing.T, b *Broker) {
		watcher, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "w", CleanStart: true, Username: new("u"), Password: []byte("secret")})
		watcher.subscribe(filter("#", 0))
		for _, v := range versions {
			for _, test := range []struct {
				user     *string
				password string
				want     wire.ReasonCode
			}{
				{nil, "", wire.NotAuthorized},
				{new("u"), "guess", wire.BadUserNameOrPassword},
				{new("u"), "secret", wire.Success},
			} {
				s := dial(t, b, v)
				connect := &wire.Connect{ClientID: "c", CleanStart: true, Username: test.user}
				if test.user != nil {
					connect.Password = []byte(test.password)
				}
				// [MQTT-3.1.4-6] what follows a refused CONNECT is not processed.
				s.send(connect, message0("a", "b"))
				require.Equal(t, &wire.Connack{ReasonCode: test.want}, receiveBareConnack(s))
				if test.want == wire.Success {
					require.Equal(t, "b", string(receive[*wire.Publish](watcher).Payload))
					s.send(&wire.Disconnect{})
				}
				s.closed()
				watcher.idle()
			}
		}
		require.Equal(t, uint64(6), b.Stats().Refused)
	})
}

// receiveBareConnack takes a CONNACK and leaves only session and reason of it.
func receiveBareConnack(s *script) *wire.Connack {
	s.t.Helper()
	p := receive[*wire.Connack](s)
	return &wire.Connack{SessionPresent: p.SessionPresent, ReasonCode: p.ReasonCode}
}

func TestEmptyClientIdentifier(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		_, first := join(t, b, wire.V5, &wire.Connect{})
		_, second := join(t, b, wire.V5, &wire.Connect{CleanStart: true})
		require.NotEmpty(t, first.AssignedClientID)
		require.NotEmpty(t, second.AssignedClientID)
		require.NotEqual(t, first.AssignedClientID, second.AssignedClientID)
		join(t, b, wire.V311, &wire.Connect{CleanStart: true})
		require.Equal(t, 3, b.Stats().Sessions)

		// [MQTT-3.1.3-8] of 3.1.1; the encoder would not send it.
		s := dial(t, b, wire.V311)
		s.write([]byte("\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00"))
		s.want(&wire.Connack{ReasonCode: wire.ClientIdentifierNotValid})
		s.closed()
	})
}

func TestConnackAnnouncesTheLimits(t *testing.T) {
	cfg := Config{
		MaximumQoS:           new(wire.AtMostOnce),
		NoRetained:           true,
		NoWildcards:          true,
		NoShared:             true,
		NoSubscriptionIDs:    true,
		KeepAliveMaximum:     2 * time.Second,
		SessionExpiryMaximum: time.Minute,
		MaximumPacketSize:    1000,
		ReceiveMaximum:       5,
		TopicAliasMaximum:    7,
	}
	run(t, cfg, func(t *testing.T, b *Broker) {
		s := dial(t, b, wire.V5)
		s.send(&wire.Connect{ClientID: "c", SessionExpiryInterval: 3600})
		s.want(&wire.Connack{
			MaximumQoS:                    new(wire.AtMostOnce),
			RetainAvailable:               new(false),
			WildcardSubscriptionAvailable: new(false),
			SharedSubscriptionAvailable:   new(false),
			SubscriptionIDAvailable:       new(false),
			ServerKeepAlive:               new(uint16(2)),
			SessionExpiryInterval:         new(uint32(60)),
			MaximumPacketSize:             1000,
			ReceiveMaximum:                5,
			TopicAliasMaximum:             7,
		})
		// [MQTT-3.2.2-21] our interval counts: 3 seconds of silence.
		advance(3*time.Second - 2*time.Millisecond)
		s.send(&wire.Pingreq{})
		s.want(&wire.Pingresp{})
		advance(3*time.Second + time.Millisecond)
		s.ended(wire.KeepAliveTimeout)
	})
}

func TestSilenceEndsTheConnection(t *testing.T) {
	for _, v := range versions {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			patient, _ := join(t, b, v, &wire.Connect{ClientID: "patient", CleanStart: true})
			s, _ := join(t, b, v, &wire.Connect{ClientID: "c", CleanStart: true, KeepAlive: 2})
			for range 3 {
				advance(2900 * time.Millisecond)
				s.send(&wire.Pingreq{})
				s.want(&wire.Pingresp{})
			}
			advance(3 * time.Second)
			s.ended(wire.KeepAliveTimeout)
			advance(100 * time.Hour)
			patient.send(&wire.Pingreq{})
			patient.want(&wire.Pingresp{})
		})
	}
}

func TestSecondConnectionTakesOver(t *testing.T) {
	for _, v := range versions {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			old, _ := join(t, b, v, durableConnect(v, "c"))
			old.subscribe(filter("a", 1))
			s := dial(t, b, v)
			s.send(durableConnect(v, "c"))
			// [MQTT-3.2.2-2]; 3.1 cannot say it.
			require.Equal(t, v != wire.V31, receive[*wire.Connack](s).SessionPresent)
			old.ended(wire.SessionTakenOver)
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 1}))
			require.Equal(t, "a", receiveAs(s).Topic)
			synctest.Wait()
			require.Equal(t, 1, b.Stats().Sessions)
			require.Equal(t, 1, b.Stats().Connections)
		})
	}
}

func TestManyConnectionsFightForOneIdentifier(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		const rivals = 20
		scripts := make([]*script, rivals)
		for i := range scripts {
			scripts[i] = dial(t, b, wire.V5)
			scripts[i].send(&wire.Connect{ClientID: "c", CleanStart: i%2 == 0, SessionExpiryInterval: 60})
		}
		synctest.Wait()
		alive := 0
		for _, s := range scripts {
			require.Equal(t, wire.Success, receive[*wire.Connack](s).ReasonCode)
			if p, err := s.next(); err == nil {
				require.Equal(t, &wire.Disconnect{ReasonCode: wire.SessionTakenOver}, p)
				s.closed()
			} else {
				alive++
			}
		}
		require.Equal(t, 1, alive)
		require.Equal(t, 1, b.Stats().Sessions)
	})
}
