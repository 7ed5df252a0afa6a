package clienttest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// credentialCodes are the refusals of credentials in CONNACK that a version has.
func credentialCodes(v wire.Version) []wire.ReasonCode {
	if v == wire.V5 {
		return []wire.ReasonCode{wire.BadUserNameOrPassword, wire.NotAuthorized, wire.Banned, wire.BadAuthenticationMethod}
	}
	return []wire.ReasonCode{wire.BadUserNameOrPassword, wire.NotAuthorized}
}

func TestRefusalOfCredentialsThatWorkedIsTriedAgain(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		for _, code := range credentialCodes(v) {
			srv := mqtttest.NewServer(t, v)
			client, conn := Open(t, srv, Quiet(srv))
			waiting := Publish(t, client, "x", 1)
			conn.Close()
			for range 20 {
				srv.Connected(&wire.Connack{ReasonCode: code})
			}
			conn = srv.Connected(&wire.Connack{})
			conn.Send(Puback(mqtttest.Take[*wire.Publish](conn).PacketID))
			require.NoError(t, waiting.Wait())
			client.Close()
		}
	})
}

func TestRefusalOfCredentialsAtFirstIsPermanent(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		for _, code := range credentialCodes(v) {
			srv := mqtttest.NewServer(t, v)
			cfg := Quiet(srv)
			cfg.RetryFirst = true
			d := Dial(t, cfg)
			srv.Connected(&wire.Connack{ReasonCode: code})
			require.ErrorIs(t, d.Call.Wait(), code)
			srv.WantNone(time.Hour)
		}
	})
}

func TestPermanentHasTheLastWordOnCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Permanent = mqtt.IsPermanent
		client, conn := Open(t, srv, cfg)
		conn.Close()
		srv.Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
		<-client.Done()
		require.ErrorIs(t, client.Err(), mqtt.NotAuthorized)
	})
}

// TestAttemptIsAskedForOtherCredentials refuses a client that has never been
// connected, which ends when its Attempt has nothing better.
func TestAttemptIsAskedForOtherCredentials(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.Username, cfg.RetryFirst = "u", true
		tokens := []string{"1", "2", "2", "3", "3", "3", "4"}
		calls := 0
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			a.Password = mqtt.Secret(tokens[calls])
			calls++
			return nil
		}
		d := Dial(t, cfg)
		for range 5 {
			srv.Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
			require.False(t, d.Call.Over())
		}
		srv.Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
		require.ErrorIs(t, d.Call.Wait(), mqtt.NotAuthorized)
		require.Equal(t, 6, calls)
	})
}

// TestRefusedCredentialsAreCountedPerServer has two servers that refuse in turn.
func TestRefusedCredentialsAreCountedPerServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 2)
		cfg := w.Config()
		cfg.RetryFirst, cfg.Servers = true, []string{"mqtt://10.0.0.2"}
		cfg.Attempt = func(context.Context, *mqtt.Attempt) error { return nil }
		d := Connect(t, "mqtt://10.0.0.1", cfg)
		for range 2 {
			s[0].Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
			s[1].Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
		}
		require.False(t, d.Call.Over())
		s[0].Connected(&wire.Connack{ReasonCode: wire.ServerBusy})
		s[1].Connected(&wire.Connack{})
		d.Client(t)
	})
}

func TestFingerprintOfCredentials(t *testing.T) {
	// What counts as other credentials: anything that Attempt can change.
	for i, change := range []func(*mqtt.Attempt, int){
		func(a *mqtt.Attempt, n int) { a.Username = fmt.Sprint("u", n) },
		func(a *mqtt.Attempt, n int) { a.Header.Set("Authorization", fmt.Sprint(n)) },
		func(a *mqtt.Attempt, n int) { a.UserProperties = []mqtt.UserProperty{{Name: fmt.Sprint(n)}} },
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := Quiet(srv)
			cfg.RetryFirst = true
			calls := 0
			cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
				calls++
				change(a, calls)
				return nil
			}
			d := Dial(t, cfg)
			for range 10 {
				srv.Connected(&wire.Connack{ReasonCode: wire.BadUserNameOrPassword})
			}
			require.False(t, d.Call.Over(), "change %d", i)
			srv.Connected(&wire.Connack{})
			d.Client(t)
		})
	}
}
