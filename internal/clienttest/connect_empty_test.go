package clienttest

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// connectOf returns the CONNECT that a client with cfg sends to url.
func connectOf(t *testing.T, srv *mqtttest.Server, url string, cfg mqtt.Config) *wire.Connect {
	t.Helper()
	d := Connect(t, url, cfg)
	conn := srv.Accept()
	p := conn.WantConnect()
	conn.Send(&wire.Connack{})
	require.NoError(t, d.Client(t).Close())
	return p
}

func TestEmptyCredentialsAreSent(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		type credentials struct {
			username *string
			password []byte
		}
		for name, test := range map[string]struct {
			url                string
			username, password string
			want               credentials
		}{
			"none":              {"mqtt://server", "", "", credentials{}},
			"empty name":        {"mqtt://server", mqtt.Empty, "", credentials{new(""), nil}},
			"empty password":    {"mqtt://server", "u", mqtt.Empty, credentials{new("u"), []byte{}}},
			"both":              {"mqtt://server", mqtt.Empty, mqtt.Empty, credentials{new(""), []byte{}}},
			"Config before URL": {"mqtt://a:b@server", mqtt.Empty, "", credentials{new(""), nil}},
			"URL":               {"mqtt://a:@server", "", "", credentials{new("a"), []byte{}}},
			"URL without":       {"mqtt://a@server", "", "", credentials{new("a"), nil}},
		} {
			cfg := Quiet(srv)
			cfg.Username, cfg.Password = test.username, mqtt.Secret(test.password)
			p := connectOf(t, srv, test.url, cfg)
			require.Equal(t, test.want, credentials{p.Username, p.Password}, name)
			cfg.Username, cfg.Password = "", ""
			cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
				a.Username, a.Password = test.username, mqtt.Secret(test.password)
				return nil
			}
			if test.url == "mqtt://server" {
				p = connectOf(t, srv, test.url, cfg)
				require.Equal(t, test.want, credentials{p.Username, p.Password}, name)
			}
		}
	})
}

func TestPasswordWithoutAUserName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Password = mqtt.Empty
		p := connectOf(t, srv, "mqtt://server", cfg)
		require.Nil(t, p.Username)
		require.NotNil(t, p.Password)
		cfg.Version = mqtt.V311
		_, err := mqtt.Connect(t.Context(), "mqtt://server", cfg)
		require.ErrorIs(t, err, mqtt.ErrInvalid)
	})
}

func TestServerAssignsTheIdentifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.ClientID = mqtt.Empty
		d := Dial(t, cfg)
		conn := srv.Accept()
		p := conn.WantConnect()
		require.Empty(t, p.ClientID)
		require.True(t, p.CleanStart)
		conn.Send(&wire.Connack{AssignedClientID: "you"})
		client := d.Client(t)
		require.Equal(t, "you", client.ServerInfo().ClientID)
		conn.Close()
		conn = srv.Accept()
		p = conn.WantConnect()
		require.Equal(t, "you", p.ClientID)
		require.False(t, p.CleanStart)
		conn.Send(Resumed())
		synctest.Wait()
		require.Equal(t, "you", client.ServerInfo().ClientID)
	})
}

// TestServerWithoutIdentifiersToAssign: each connection begins a session.
func TestServerWithoutIdentifiersToAssign(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, v)
			cfg := Quiet(srv)
			cfg.ClientID = mqtt.Empty
			d := Dial(t, cfg)
			conn := srv.Connected(&wire.Connack{})
			d.Client(t)
			conn.Close()
			p := srv.Accept().WantConnect()
			require.Empty(t, p.ClientID)
			require.True(t, p.CleanStart)
		})
	}
}

func TestEmptyIdentifierThatCanNotWork(t *testing.T) {
	for name, cfg := range map[string]mqtt.Config{
		"Resume": {ClientID: mqtt.Empty, Resume: true},
		"3.1":    {ClientID: mqtt.Empty, Version: mqtt.V31},
	} {
		_, err := mqtt.Connect(t.Context(), "mqtt://server", cfg)
		require.ErrorIs(t, err, mqtt.ErrInvalid, name)
	}
}
