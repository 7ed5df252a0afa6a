package broker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// sums is an authentication method: the broker asks for sums until it believes.
type sums struct{ rounds int }

func (m sums) AuthenticationMethod() string { return "SUMS" }
func (m sums) Begin(l *Login) Exchange      { return &sum{method: m, login: l} }

type sum struct {
	method sums
	login  *Login
	round  int
}

func (s *sum) Next(ctx context.Context, data []byte) ([]byte, Decision) {
	switch {
	case ctx.Err() != nil:
		return nil, Deny(wire.NotAuthorized, "too late")
	case s.round > 0 && string(data) != fmt.Sprint(s.round+1):
		return nil, Deny(wire.Banned, "wrong sum")
	case s.round == s.method.rounds:
		s.login.Username = "calculator"
		return []byte("well done"), Allow()
	}
	s.round++
	return fmt.Appendf(nil, "%d+1", s.round), Pass()
}

func sumsConfig(rounds int) Config {
	return Config{
		ConnectTimeout:         3 * time.Second,
		EnhancedAuthenticators: []EnhancedAuthenticator{sums{rounds}, tokens{"TOKEN"}},
		Authorizers: []Authorizer{AuthorizerFunc(func(_ context.Context, a *Access) Decision {
			if a.Peer.Username == "calculator" {
				return Allow()
			}
			return Pass()
		})},
	}
}

func authStep(code wire.ReasonCode, data string) *wire.Auth {
	p := &wire.Auth{ReasonCode: code, AuthenticationMethod: "SUMS"}
	if data != "" {
		p.AuthenticationData = []byte(data)
	}
	return p
}

// calculate answers n questions.
func (s *script) calculate(n int) {
	s.t.Helper()
	for i := range n {
		s.want(authStep(wire.ContinueAuthentication, fmt.Sprintf("%d+1", i+1)))
		s.send(authStep(wire.ContinueAuthentication, fmt.Sprint(i+2)))
	}
}

func sumsConnect() *wire.Connect {
	return &wire.Connect{
		ClientID: "c", CleanStart: true, AuthenticationMethod: "SUMS", Password: []byte("p"), SessionExpiryInterval: 60,
		Will: &wire.Will{Topic: "will", Payload: []byte("last words"), CorrelationData: []byte("correlation")},
	}
}

func TestEnhancedAuthenticationInSeveralRounds(t *testing.T) {
	for rounds := range 4 {
		run(t, sumsConfig(rounds), func(t *testing.T, b *Broker) {
			s := dial(t, b, wire.V5)
			s.send(sumsConnect())
			s.calculate(rounds)
			ack := receive[*wire.Connack](s)
			require.Equal(t, wire.Success, ack.ReasonCode)
			require.Equal(t, "SUMS", ack.AuthenticationMethod) // [MQTT-4.12.0-5]
			require.Equal(t, "well done", string(ack.AuthenticationData))
			s.subscribe(filter("a", 0)) // with the name that the method found

			// What CONNECT said has survived the rounds.
			other := dial(t, b, wire.V5)
			connect := sumsConnect()
			connect.ClientID, connect.Will = "d", nil
			other.send(connect)
			other.calculate(rounds)
			receive[*wire.Connack](other)
			other.subscribe(filter("will", 0))
			s.cut()
			got := receive[*wire.Publish](other)
			require.Equal(t, "last words", string(got.Payload))
			require.Equal(t, "correlation", string(got.Properties.CorrelationData))
		})
	}
}

func TestEnhancedAuthenticationFails(t *testing.T) {
	for name, test := range map[string]struct {
		answer wire.Packet
		want   wire.ReasonCode
	}{
		"wrong proof":        {authStep(wire.ContinueAuthentication, "3"), wire.Banned},
		"another method":     {&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "TOKEN"}, wire.BadAuthenticationMethod},
		"wrong reason code":  {authStep(wire.Reauthenticate, "2"), wire.ProtocolError},
		"PUBLISH in between": {message0("a", "x"), wire.ProtocolError},
		"second CONNECT":     {&wire.Connect{ClientID: "c"}, wire.ProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, sumsConfig(2), func(t *testing.T, b *Broker) {
				s := dial(t, b, wire.V5)
				s.send(sumsConnect())
				s.want(authStep(wire.ContinueAuthentication, "1+1"))
				s.send(test.answer)
				require.Equal(t, test.want, receive[*wire.Connack](s).ReasonCode)
				s.closed()
				require.Zero(t, b.Stats().Sessions)
			})
		})
	}
}

func TestClientGivesUpItsAuthentication(t *testing.T) {
	run(t, sumsConfig(2), func(t *testing.T, b *Broker) {
		s := dial(t, b, wire.V5)
		s.send(sumsConnect())
		s.want(authStep(wire.ContinueAuthentication, "1+1"))
		s.send(&wire.Disconnect{})
		s.closed()
		require.Equal(t, uint64(1), b.Stats().Refused)
	})
}

func TestEnhancedAuthenticationHasATimeOut(t *testing.T) {
	run(t, sumsConfig(2), func(t *testing.T, b *Broker) {
		s := dial(t, b, wire.V5)
		s.send(sumsConnect())
		s.want(authStep(wire.ContinueAuthentication, "1+1"))
		advance(2 * time.Second)
		s.send(authStep(wire.ContinueAuthentication, "2"))
		s.want(authStep(wire.ContinueAuthentication, "2+1"))
		advance(time.Second) // the time is for all rounds
		s.closed()
	})
}

func TestWithoutItsMethodAClientIsRefused(t *testing.T) {
	run(t, sumsConfig(1), func(t *testing.T, b *Broker) {
		for _, v := range versions {
			s := dial(t, b, v)
			s.send(&wire.Connect{ClientID: "c", CleanStart: true})
			require.Equal(t, wire.NotAuthorized, receive[*wire.Connack](s).ReasonCode)
			s.closed()
		}
		s := dial(t, b, wire.V5)
		s.send(&wire.Connect{ClientID: "c", AuthenticationMethod: "OTHER"})
		require.Equal(t, wire.BadAuthenticationMethod, receive[*wire.Connack](s).ReasonCode) // [MQTT-4.12.0-1]
		s.closed()
	})
}

func TestChallengeThatTheClientCanNotTake(t *testing.T) {
	run(t, sumsConfig(1), func(t *testing.T, b *Broker) {
		s := dial(t, b, wire.V5)
		connect := sumsConnect()
		connect.MaximumPacketSize = 12
		s.send(connect)
		s.want(&wire.Connack{ReasonCode: wire.PacketTooLarge}) // [MQTT-3.2.2-19] no reason string
		s.closed()
	})
}

func joinSums(t *testing.T, b *Broker, rounds int, connect *wire.Connect) *script {
	t.Helper()
	s := dial(t, b, wire.V5)
	s.send(connect)
	s.calculate(rounds)
	require.Equal(t, wire.Success, receive[*wire.Connack](s).ReasonCode)
	return s
}

func TestReauthentication(t *testing.T) {
	run(t, sumsConfig(2), func(t *testing.T, b *Broker) {
		s := joinSums(t, b, 2, sumsConnect())
		s.subscribe(filter("a", 0))
		for range 2 {
			s.send(authStep(wire.Reauthenticate, ""))
			s.want(authStep(wire.ContinueAuthentication, "1+1"))
			// Everything goes on meanwhile.
			s.send(message0("a", "x"))
			s.want(message0("a", "x"))
			s.send(authStep(wire.ContinueAuthentication, "2"))
			s.want(authStep(wire.ContinueAuthentication, "2+1"))
			s.send(authStep(wire.ContinueAuthentication, "3"))
			s.want(authStep(wire.Success, "well done"))
		}
		advance(time.Hour) // the deadline is gone
		s.send(message0("a", "y"))
		s.want(message0("a", "y"))
	})
}

func TestReauthenticationFails(t *testing.T) {
	other := &wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: "TOKEN"}
	for name, test := range map[string]struct {
		begin wire.Packet
		next  wire.Packet
		want  wire.ReasonCode
	}{
		"wrong proof":          {authStep(wire.Reauthenticate, ""), authStep(wire.ContinueAuthentication, "3"), wire.NotAuthorized},
		"another method":       {nil, other, wire.BadAuthenticationMethod}, // [MQTT-4.12.1-1]
		"not begun":            {nil, authStep(wire.ContinueAuthentication, "2"), wire.ProtocolError},
		"begun twice":          {authStep(wire.Reauthenticate, ""), authStep(wire.Reauthenticate, ""), wire.ProtocolError},
		"method changes midst": {authStep(wire.Reauthenticate, ""), other, wire.BadAuthenticationMethod},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, sumsConfig(1), func(t *testing.T, b *Broker) {
				s := joinSums(t, b, 1, sumsConnect())
				if test.begin != nil {
					s.send(test.begin)
					s.want(authStep(wire.ContinueAuthentication, "1+1"))
				}
				s.send(test.next)
				s.ended(test.want) // [MQTT-4.12.1-2]
			})
		})
	}
}

// moving sends clients away that authenticate again.
type moving struct{ tokens }

func (m moving) Begin(l *Login) Exchange {
	if l.Again {
		return m
	}
	return m.tokens
}

func (m moving) Next(context.Context, []byte) ([]byte, Decision) {
	return nil, Redirect(wire.UseAnotherServer, "other:1883")
}

func TestReauthenticationSendsToAnotherServer(t *testing.T) {
	run(t, Config{EnhancedAuthenticators: []EnhancedAuthenticator{moving{tokens{"M"}}}}, func(t *testing.T, b *Broker) {
		s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "c", AuthenticationMethod: "M", AuthenticationData: []byte("x")})
		s.send(&wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: "M"})
		s.want(&wire.Disconnect{ReasonCode: wire.UseAnotherServer, ServerReference: "other:1883"})
		s.closed()
	})
}

func TestReauthenticationHasATimeOut(t *testing.T) {
	for _, keepAlive := range []uint16{0, 2, 60} {
		run(t, sumsConfig(1), func(t *testing.T, b *Broker) {
			connect := sumsConnect()
			connect.KeepAlive = keepAlive
			s := joinSums(t, b, 1, connect)
			s.send(authStep(wire.Reauthenticate, ""))
			s.want(authStep(wire.ContinueAuthentication, "1+1"))
			advance(2 * time.Second)
			s.send(&wire.Pingreq{}) // proves that it is alive, nothing else
			s.want(&wire.Pingresp{})
			advance(999 * time.Millisecond)
			s.ended(wire.NotAuthorized)
		})
	}
}

func TestReasonStringsAreForThoseWhoWantThem(t *testing.T) {
	cfg := Config{Authorizers: []Authorizer{AuthorizerFunc(func(context.Context, *Access) Decision {
		return Deny(wire.NotAuthorized, "not you")
	})}}
	for _, test := range []struct {
		name    string
		connect wire.Connect
		text    string
	}{
		{"by default", wire.Connect{}, "not you"},
		{"asked for", wire.Connect{RequestProblemInformation: new(true)}, "not you"},
		{"not wanted", wire.Connect{RequestProblemInformation: new(false)}, ""}, // [MQTT-3.1.2-29]
		{"no room", wire.Connect{MaximumPacketSize: 12}, ""},                    // [MQTT-3.4.2-2], [MQTT-3.5.2-2], [MQTT-3.9.2-1]
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, cfg, func(t *testing.T, b *Broker) {
				test.connect.ClientID = "c"
				s := dial(t, b, wire.V5)
				// Room for CONNACK, which the limit would not leave.
				s.send(&wire.Connect{ClientID: "c", MaximumPacketSize: test.connect.MaximumPacketSize * 3, RequestProblemInformation: test.connect.RequestProblemInformation})
				receive[*wire.Connack](s)
				b.clients["c"].link.Limits.MaximumPacketSize = test.connect.MaximumPacketSize
				s.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter("a", 1)}},
					&wire.Publish{Topic: "a", QoS: 1, PacketID: 2}, &wire.Publish{Topic: "a", QoS: 2, PacketID: 3})
				s.want(&wire.Suback{PacketID: 1, ReasonCodes: []wire.ReasonCode{wire.NotAuthorized}, ReasonString: test.text})
				ack, rec := receive[*wire.Puback](s), receive[*wire.Pubrec](s)
				require.Equal(t, wire.NotAuthorized, ack.ReasonCode)
				require.Equal(t, wire.NotAuthorized, rec.ReasonCode)
				require.Equal(t, []string{test.text, test.text}, []string{ack.ReasonString, rec.ReasonString})
				s.send(&wire.Connect{ClientID: "c"})
				bye := receive[*wire.Disconnect](s)
				require.Equal(t, wire.ProtocolError, bye.ReasonCode)
				require.Equal(t, test.text == "", bye.ReasonString == "")
			})
		})
	}
}

func TestResponseInformation(t *testing.T) {
	run(t, Config{ResponseInformation: "replies/%u/%c"}, func(t *testing.T, b *Broker) {
		for _, test := range []struct {
			id, user string
			ask      bool
			want     string
		}{
			{"c", "u", true, "replies/u/c"},
			{"c", "u", false, ""}, // [MQTT-3.1.2-28]
			{"c", "", true, ""},
			{"+", "u", true, ""},
			{"a/b", "u", true, ""},
			{"%u", "u", true, ""},
		} {
			connect := &wire.Connect{ClientID: test.id, RequestResponseInformation: test.ask}
			if test.user != "" {
				connect.Username = &test.user
			}
			_, ack := join(t, b, wire.V5, connect)
			require.Equal(t, test.want, ack.ResponseInformation)
		}
	})
}
