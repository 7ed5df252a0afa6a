package scram_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	lib "github.com/xdg-go/scram"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/contrib/scram"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// The server's side is that of the library, spoken by a scripted server.

func newServer(t *testing.T, hash lib.HashGeneratorFcn, user, password string) *lib.Server {
	t.Helper()
	c, err := hash.NewClient(user, password, "")
	require.NoError(t, err)
	stored, err := c.GetStoredCredentialsWithError(lib.KeyFactors{Salt: "salt", Iters: 4096})
	require.NoError(t, err)
	s, err := hash.NewServer(func(name string) (lib.StoredCredentials, error) {
		if name != user {
			return lib.StoredCredentials{}, errors.New("unknown user")
		}
		return stored, nil
	})
	require.NoError(t, err)
	return s
}

func auth(method string, code wire.ReasonCode, data string) *wire.Auth {
	return &wire.Auth{ReasonCode: code, AuthenticationMethod: method, AuthenticationData: []byte(data)}
}

// challenge takes the client's two messages and returns the server's last one.
func challenge(t *testing.T, conn *mqtttest.Conn, s *lib.Server, method, first string) (final string, err error) {
	t.Helper()
	conversation := s.NewConversation()
	answer, err := conversation.Step(first)
	require.NoError(t, err)
	conn.Send(auth(method, wire.ContinueAuthentication, answer))
	p := mqtttest.Take[*wire.Auth](conn)
	require.Equal(t, wire.ContinueAuthentication, p.ReasonCode)
	return conversation.Step(string(p.AuthenticationData))
}

// accept plays a server that lets the client in, and returns the connection.
func accept(t *testing.T, srv *mqtttest.Server, s *lib.Server, method string, ack *wire.Connack) *mqtttest.Conn {
	t.Helper()
	conn := srv.Accept()
	p := conn.WantConnect()
	require.Equal(t, method, p.AuthenticationMethod)
	require.Nil(t, p.Password)
	final, err := challenge(t, conn, s, method, string(p.AuthenticationData))
	require.NoError(t, err)
	ack.AuthenticationMethod, ack.AuthenticationData = method, []byte(final)
	conn.Send(ack)
	return conn
}

type dialing struct {
	client *mqtt.Client
	err    error
	done   chan struct{}
}

func dial(t *testing.T, srv *mqtttest.Server, a mqtt.Authenticator) *dialing {
	d := &dialing{done: make(chan struct{})}
	go func() {
		defer close(d.done)
		d.client, d.err = mqtt.Connect(t.Context(), "mqtt://server", mqtt.Config{
			ClientID: "c1", KeepAlive: -1, Dial: srv.Dial, Authenticator: a})
	}()
	return d
}

func (d *dialing) wait(t *testing.T) *mqtt.Client {
	t.Helper()
	<-d.done
	require.NoError(t, d.err)
	t.Cleanup(func() { d.client.Close() })
	return d.client
}

func sha256(t *testing.T, user string, password mqtt.Secret) *scram.Authenticator {
	t.Helper()
	a, err := scram.SHA256(user, password)
	require.NoError(t, err)
	return a
}

const sha256Name = "SCRAM-SHA-256"

func TestBothSidesProveThemselves(t *testing.T) {
	for method, hash := range map[string]lib.HashGeneratorFcn{sha256Name: lib.SHA256, "SCRAM-SHA-512": lib.SHA512} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, err := scram.SHA256("wörker", "p,a=ss")
				if method != sha256Name {
					a, err = scram.SHA512("wörker", "p,a=ss")
				}
				require.NoError(t, err)
				srv, s := mqtttest.NewServer(t, wire.V5), newServer(t, hash, "wörker", "p,a=ss")
				d := dial(t, srv, a)
				conn := accept(t, srv, s, method, &wire.Connack{})
				client := d.wait(t)

				// Again on the same connection.
				again := make(chan error)
				go func() { again <- client.Reauthenticate(t.Context()) }()
				p := mqtttest.Take[*wire.Auth](conn)
				require.Equal(t, wire.Reauthenticate, p.ReasonCode)
				final, err := challenge(t, conn, s, method, string(p.AuthenticationData))
				require.NoError(t, err)
				conn.Send(auth(method, wire.Success, final))
				require.NoError(t, <-again)

				// And on the next one, with a nonce of its own.
				conn.Close()
				accept(t, srv, s, method, &wire.Connack{SessionPresent: true})
			})
		})
	}
}

func TestServerMaySendItsProofAsAChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, s := mqtttest.NewServer(t, wire.V5), newServer(t, lib.SHA256, "worker", "secret")
		d := dial(t, srv, sha256(t, "worker", "secret"))
		conn := srv.Accept()
		final, err := challenge(t, conn, s, sha256Name, string(conn.WantConnect().AuthenticationData))
		require.NoError(t, err)
		conn.Send(auth(sha256Name, wire.ContinueAuthentication, final))
		require.Empty(t, mqtttest.Take[*wire.Auth](conn).AuthenticationData)
		conn.Send(&wire.Connack{AuthenticationMethod: sha256Name})
		d.wait(t)
	})
}

func TestWrongPasswordDoesNotConvinceTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, s := mqtttest.NewServer(t, wire.V5), newServer(t, lib.SHA256, "worker", "secret")
		d := dial(t, srv, sha256(t, "worker", "guess"))
		conn := srv.Accept()
		_, err := challenge(t, conn, s, sha256Name, string(conn.WantConnect().AuthenticationData))
		require.Error(t, err)
		conn.Send(&wire.Connack{ReasonCode: wire.NotAuthorized})
		<-d.done
		require.ErrorIs(t, d.err, mqtt.NotAuthorized)
	})
}

func TestImpostorIsNotBelieved(t *testing.T) {
	nonce := func(p *wire.Connect) string {
		_, nonce, _ := strings.Cut(string(p.AuthenticationData), "r=")
		return nonce
	}
	first := func(p *wire.Connect, rounds string) string {
		return fmt.Sprintf("r=%sxyz,s=%s,i=%s", nonce(p), base64.StdEncoding.EncodeToString([]byte("salt")), rounds)
	}
	for name, play := range map[string]func(*mqtttest.Conn, *wire.Connect){
		"no exchange": func(c *mqtttest.Conn, _ *wire.Connect) {
			c.Send(&wire.Connack{AuthenticationMethod: sha256Name})
		},
		"no proof": func(c *mqtttest.Conn, p *wire.Connect) {
			c.Send(auth(sha256Name, wire.ContinueAuthentication, first(p, "4096")))
			mqtttest.Take[*wire.Auth](c)
			c.Send(&wire.Connack{AuthenticationMethod: sha256Name})
		},
		"false proof": func(c *mqtttest.Conn, p *wire.Connect) {
			c.Send(auth(sha256Name, wire.ContinueAuthentication, first(p, "4096")))
			mqtttest.Take[*wire.Auth](c)
			c.Send(&wire.Connack{AuthenticationMethod: sha256Name,
				AuthenticationData: []byte("v=" + base64.StdEncoding.EncodeToString(make([]byte, 32)))})
		},
		"too little work": func(c *mqtttest.Conn, p *wire.Connect) {
			c.Send(auth(sha256Name, wire.ContinueAuthentication, first(p, "1")))
		},
		"too much work": func(c *mqtttest.Conn, p *wire.Connect) {
			c.Send(auth(sha256Name, wire.ContinueAuthentication, first(p, "2000000000")))
		},
		"nonce of another": func(c *mqtttest.Conn, _ *wire.Connect) {
			c.Send(auth(sha256Name, wire.ContinueAuthentication, "r=other,s=c2FsdA==,i=4096"))
		},
		"nonsense": func(c *mqtttest.Conn, _ *wire.Connect) {
			c.Send(auth(sha256Name, wire.ContinueAuthentication, "hello"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				d := dial(t, srv, sha256(t, "worker", "secret"))
				conn := srv.Accept()
				play(conn, conn.WantConnect())
				conn.WantClosed()
				<-d.done
				require.ErrorIs(t, d.err, mqtt.ErrAuthenticator)
				require.NotContains(t, d.err.Error(), "secret")
			})
		})
	}
}

func TestCredentialsAreChecked(t *testing.T) {
	_, err := scram.SHA256("", "secret")
	require.ErrorContains(t, err, "no user name")
	_, err = scram.SHA256("worker", "secret\x00")
	require.ErrorContains(t, err, "SASLprep")
	require.NotContains(t, err.Error(), "secret")
}

func TestPrintingShowsNoSecret(t *testing.T) {
	a := sha256(t, "worker", "secret")
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(format, a), "secret")
	}
}
