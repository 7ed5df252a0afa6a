package session

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// authenticating is a CONNECT with enhanced authentication by method M.
func authenticating(data string) *wire.Connect {
	p := keeping(wire.V5)
	p.AuthenticationMethod, p.AuthenticationData = "M", []byte(data)
	return p
}

func auth(code wire.ReasonCode, data string) *wire.Auth {
	return &wire.Auth{ReasonCode: code, AuthenticationMethod: "M", AuthenticationData: []byte(data)}
}

// authScript returns a script whose connection is up after an authentication,
// and where the steps of re-authentications go.
func authScript(t *testing.T) (s *script, steps *[]AuthStep, ended *[]error) {
	t.Helper()
	steps, ended = new([]AuthStep), new([]error)
	s = newScript(t, wire.V5, ClientSettings{Reauthentication: func(step AuthStep, err error) {
		if err != nil {
			*ended = append(*ended, err)
			return
		}
		*steps = append(*steps, step)
	}})
	s.up(authenticating("hello"), &wire.Connack{AuthenticationMethod: "M"})
	return s, steps, ended
}

func (s *script) wantStep(data string, final bool) {
	s.t.Helper()
	step, ok := s.c.AuthStep()
	require.True(s.t, ok)
	require.Equal(s.t, data, string(step.Data))
	require.Equal(s.t, final, step.Final)
}

func (s *script) wantNoStep() {
	s.t.Helper()
	_, ok := s.c.AuthStep()
	require.False(s.t, ok)
	require.ErrorIs(s.t, s.c.Authenticate(nil, s.now), ErrNoAuthentication)
}

func TestAuthenticationOfSeveralRounds(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	queued := s.publish("queued", 0)
	s.dial(authenticating("hello"))
	s.wantNoStep()
	s.send(auth(wire.ContinueAuthentication, "challenge 1"))
	s.wantStep("challenge 1", false)
	require.NoError(t, s.c.Authenticate([]byte("answer 1"), s.now))
	s.wantBytes("F0 11 18 0F 15 0001 4D 16 0008 616E737765722031")
	s.wantNoStep()
	s.send(auth(wire.ContinueAuthentication, "challenge 2"))
	require.NoError(t, s.c.Authenticate(nil, s.now)) // no data at all
	s.wantBytes("F0 06 18 04 15 0001 4D")

	s.send(&wire.Connack{AuthenticationMethod: "M", AuthenticationData: []byte("proof")})
	s.wantStep("proof", true)
	// [MQTT-3.1.2-30] nothing is sent until the server is known.
	require.False(t, s.c.Connected())
	s.wantIdle()
	require.NoError(t, s.c.Authenticate(nil, s.now))
	require.True(t, s.c.Connected())
	s.want(pub(0, 0, "queued"))
	s.wantCompleted(queued)
	s.wantNoStep()
}

func TestUnconfirmedConnectionLeavesNoTrace(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	m := s.publish("m", 1)
	s.dial(authenticating(""))
	s.send(&wire.Connack{AuthenticationMethod: "M"})
	// The caller reads on although it must not.
	require.ErrorIs(t, s.receive(s.encode(&wire.Pingresp{})), errUnconfirmed)
	s.lose()
	require.False(t, m.Sent())
	require.False(t, s.c.HasSessionOf("c1"), "the server cannot say that it has one")
	s.wantNoStep()
	s.up(authenticating(""), &wire.Connack{AuthenticationMethod: "M"})
	s.want(pub(1, 1, "m"))
}

func TestServerMayRefuseAtAnyStep(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.dial(authenticating(""))
	s.send(auth(wire.ContinueAuthentication, "1"))
	require.NoError(t, s.c.Authenticate(nil, s.now))
	said := s.refuse(&wire.Connack{ReasonCode: wire.NotAuthorized})
	require.Equal(t, wire.NotAuthorized, said.ReasonCode)
	s.wantNoStep()
}

func TestBadAuthBeforeConnack(t *testing.T) {
	for name, p := range map[string]*wire.Auth{
		"success":      auth(wire.Success, ""),
		"other method": {ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "N"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, wire.V5, ClientSettings{})
			s.dial(authenticating(""))
			s.sendBad(wire.ProtocolError, p)
			s.wantNoStep()
		})
	}
	s := newScript(t, wire.V5, ClientSettings{})
	s.dial(keeping(wire.V5))
	s.sendBad(wire.ProtocolError, auth(wire.ContinueAuthentication, ""))
	s = newScript(t, wire.V5, ClientSettings{})
	s.dial(authenticating(""))
	s.send(auth(wire.ContinueAuthentication, "1"))
	s.sendBad(wire.ProtocolError, auth(wire.ContinueAuthentication, "2")) // our turn
}

func TestReauthentication(t *testing.T) {
	s, steps, ended := authScript(t)
	require.NoError(t, s.c.Reauthenticate([]byte("again")))
	s.want(auth(wire.Reauthenticate, "again"))
	require.ErrorIs(t, s.c.Reauthenticate(nil), ErrAuthenticating)
	s.send(auth(wire.ContinueAuthentication, "challenge"))
	s.wantStep("challenge", false)
	// Other traffic goes on.
	s.publish("m", 0)
	s.want(pub(0, 0, "m"))
	s.send(pub(0, 0, "to us"))
	s.wantMessages("to us")
	require.NoError(t, s.c.Authenticate([]byte("answer"), s.now))
	s.want(auth(wire.ContinueAuthentication, "answer"))
	s.send(auth(wire.Success, "proof"))
	s.wantStep("proof", true)
	require.Len(t, *steps, 2)
	require.NoError(t, s.c.Authenticate(nil, s.now))
	s.wantIdle()
	s.wantNoStep()
	require.NoError(t, s.c.Reauthenticate(nil), "once more")
	require.Empty(t, *ended)
}

func TestBadAuthOnAnOpenConnection(t *testing.T) {
	s, _, _ := authScript(t)
	s.sendBad(wire.ProtocolError, auth(wire.ContinueAuthentication, "unasked"))
	s, _, ended := authScript(t)
	require.NoError(t, s.c.Reauthenticate(nil))
	s.sendBad(wire.ProtocolError, &wire.Auth{ReasonCode: wire.Success, AuthenticationMethod: "N"})
	require.Len(t, *ended, 1)
	require.ErrorIs(t, (*ended)[0], wire.ProtocolError)
	// What nobody has verified yet may not be followed by more.
	s, _, _ = authScript(t)
	require.NoError(t, s.c.Reauthenticate(nil))
	s.send(auth(wire.Success, ""))
	s.sendBad(wire.ProtocolError, auth(wire.Success, ""))
}

func TestReauthenticationEndsWithItsConnection(t *testing.T) {
	s, _, ended := authScript(t)
	require.NoError(t, s.c.Reauthenticate(nil))
	s.send(auth(wire.ContinueAuthentication, ""))
	s.lose()
	require.Equal(t, []error{ErrConnectionLost}, *ended)
	s.wantNoStep()

	s, _, ended = authScript(t)
	require.NoError(t, s.c.Reauthenticate(nil))
	s.refuse(&wire.Disconnect{ReasonCode: wire.NotAuthorized})
	s.lose()
	require.Len(t, *ended, 1)
	require.ErrorIs(t, (*ended)[0], wire.NotAuthorized)
}

func TestReauthenticationNeedsAMethodAndAConnection(t *testing.T) {
	s := connectedScript(t, wire.V5)
	require.ErrorIs(t, s.c.Reauthenticate(nil), ErrNoAuthentication)
	s.wantIdle()
	s.lose()
	require.ErrorIs(t, s.c.Reauthenticate(nil), ErrNotConnected)
	s.dial(authenticating(""))
	require.ErrorIs(t, s.c.Reauthenticate(nil), ErrNotConnected, "before CONNACK")
}
