package mqtt_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

func TestConnectSpeaksTheVersionAskedFor(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		d := Dial(t, Quiet(srv))
		conn := srv.Accept()
		p := conn.WantConnect()
		require.Equal(t, v, p.Version)
		require.Equal(t, "c1", p.ClientID)
		require.True(t, p.CleanStart)
		require.False(t, d.Call.Over())
		conn.Send(&wire.Connack{})
		client := d.Client(t)
		require.Equal(t, mqtt.Connected, client.State())
		info := client.ServerInfo()
		require.Equal(t, v, info.Version)
		require.NoError(t, info.Fallback)
		require.Equal(t, "c1", info.ClientID)
	})
}

func TestConnectPacketCarriesTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Username, cfg.Password = "user", "pass"
		cfg.KeepAlive = 90 * time.Second
		cfg.SessionExpiry = time.Hour
		cfg.ReceiveMaximum, cfg.MaximumPacketSize, cfg.TopicAliasMaximum = 7, 4096, 5
		cfg.UserProperties = []mqtt.UserProperty{{Name: "a", Value: "b"}}
		cfg.Will = &mqtt.Will{
			Message: mqtt.Message{Topic: "w", Payload: []byte("gone"), QoS: 1, Retain: true, ContentType: "text/plain",
				PayloadFormatUTF8: true, MessageExpiryInterval: new(time.Minute), ResponseTopic: "r", CorrelationData: []byte{1},
				UserProperties: []mqtt.UserProperty{{Name: "c", Value: "d"}}},
			DelayInterval: 2 * time.Second,
		}
		d := Dial(t, cfg)
		conn := srv.Accept()
		conn.Want(&wire.Connect{
			ClientID: "c1", CleanStart: true, KeepAlive: 90, Username: new("user"), Password: []byte("pass"),
			SessionExpiryInterval: 3600, ReceiveMaximum: 7, MaximumPacketSize: 4096, TopicAliasMaximum: 5,
			UserProperties: cfg.UserProperties,
			Will: &wire.Will{Topic: "w", Payload: []byte("gone"), QoS: 1, Retain: true, DelayInterval: 2, ContentType: "text/plain",
				PayloadFormatUTF8: true, MessageExpiryInterval: new(uint32(60)), ResponseTopic: "r", CorrelationData: []byte{1},
				UserProperties: []mqtt.UserProperty{{Name: "c", Value: "d"}}},
		})
		conn.Send(&wire.Connack{})
		d.Client(t)
	})
}

func TestConfigMayChangeAfterConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Will = &mqtt.Will{Message: mqtt.Message{Topic: "w", Payload: []byte("good")}}
		cfg.UserProperties = []mqtt.UserProperty{{Name: "a", Value: "good"}}
		_, conn := Open(t, srv, cfg)
		cfg.Will.Topic = "evil"
		copy(cfg.Will.Payload, "evil")
		cfg.UserProperties[0].Value = "evil"
		conn.Close()
		p := srv.Accept().WantConnect()
		require.Equal(t, "w", p.Will.Topic)
		require.Equal(t, "good", string(p.Will.Payload))
		require.Equal(t, "good", p.UserProperties[0].Value)
	})
}

func TestRefusedConnectReturnsTheReasonCode(t *testing.T) {
	for _, test := range []struct {
		version wire.Version
		connack *wire.Connack
	}{
		{wire.V31, &wire.Connack{ReasonCode: wire.BadUserNameOrPassword}},
		{wire.V311, &wire.Connack{ReasonCode: wire.NotAuthorized}},
		{wire.V311, &wire.Connack{ReasonCode: wire.ServerUnavailable}},
		{wire.V5, &wire.Connack{ReasonCode: wire.Banned, ReasonString: "go away"}},
		{wire.V5, &wire.Connack{ReasonCode: wire.UseAnotherServer, ServerReference: "other:1883"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, test.version)
			d := Dial(t, Quiet(srv))
			conn := srv.Connected(test.connack)
			err := d.Call.Wait()
			require.ErrorIs(t, err, test.connack.ReasonCode)
			var said *mqtt.ServerError
			require.ErrorAs(t, err, &said)
			require.Equal(t, wire.TypeConnack, said.Packet)
			require.Equal(t, test.connack.ReasonString, said.ReasonString)
			require.Equal(t, test.connack.ServerReference, said.ServerReference)
			require.Nil(t, d.Result)
			conn.WantClosed()
		})
	}
}

func TestConnectTimeoutCoversConnack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.ConnectTimeout = 3 * time.Second
		begun := time.Now()
		d := Dial(t, cfg)
		conn := srv.Accept()
		conn.WantConnect()
		conn.SendRaw("20 05") // half a CONNACK
		require.ErrorContains(t, d.Call.Wait(), "no CONNACK within the connect timeout")
		require.Equal(t, 3*time.Second, time.Since(begun))
		conn.WantClosed()
	})
}

func TestConnectTimeoutCoversDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := mqtt.Config{ConnectTimeout: 3 * time.Second, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		begun := time.Now()
		_, err := mqtt.Connect(t.Context(), "mqtt://server", cfg)
		require.ErrorContains(t, err, "connect timeout")
		require.Equal(t, 3*time.Second, time.Since(begun))
	})
}

func TestContextEndsConnectWhileDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		cfg := mqtt.Config{Dial: func(context.Context, string, string) (net.Conn, error) {
			<-release // does not care about ctx
			a, b := net.Pipe()
			t.Cleanup(func() {
				_, err := b.Write([]byte{0})
				require.Error(t, err, "a connection that came too late is closed")
			})
			return a, nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := mqtt.Connect(ctx, "mqtt://server", cfg)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		close(release)
		synctest.Wait()
	})
}

func TestContextEndsConnectDuringTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		ctx, cancel := context.WithCancelCause(t.Context())
		call := Begin(func() error {
			_, err := mqtt.Connect(ctx, "mqtt://server", Quiet(srv))
			return err
		})
		conn := srv.Accept()
		conn.WantConnect()
		reason := errors.New("changed my mind")
		cancel(reason)
		require.ErrorIs(t, call.Wait(), reason)
		conn.WantClosed()
	})
}

func TestContextOfConnectDoesNotEndTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		ctx, cancel := context.WithCancel(t.Context())
		d := new(Dialing)
		d.Call = Begin(func() (err error) {
			d.Result, err = mqtt.Connect(ctx, "mqtt://server", Quiet(srv))
			return err
		})
		conn := srv.Connected(&wire.Connack{})
		client := d.Client(t)
		cancel()
		conn.WantIdle()
		require.NoError(t, client.Publish(t.Context(), "t", nil, 0))
		conn.Want(Pub(0, 0, ""))
	})
}

func TestFirstFailureIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := Dial(t, Quiet(srv))
		srv.Connected(&wire.Connack{ReasonCode: wire.ServerUnavailable})
		require.ErrorIs(t, d.Call.Wait(), mqtt.ServerUnavailable)
	})
}

func TestRetryFirstGoesOnUntilConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.RetryFirst = true
		d := Dial(t, cfg)
		srv.Accept().Close()
		srv.Connected(&wire.Connack{ReasonCode: wire.ServerUnavailable})
		srv.Connected(&wire.Connack{})
		require.Equal(t, mqtt.Connected, d.Client(t).State())
	})
}

func TestRetryFirstEndsWithItsContextAndTellsTheLastFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		srv.Refuse()
		cfg := Quiet(srv)
		cfg.RetryFirst = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		_, err := mqtt.Connect(ctx, "mqtt://server", cfg)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "refused")
		require.Equal(t, time.Minute, time.Since(begun))
	})
}

// An attempt may fail by itself just before the context ends.
func TestRetryFirstTellsOfTheEndOfItsContextWhateverFailsInThatMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		ctx, cancel := context.WithCancel(t.Context())
		cfg := Quiet(srv)
		cfg.RetryFirst = true
		cfg.Logger = slog.New(endingHandler{slog.DiscardHandler, cancel})
		call := Begin(func() error {
			_, err := mqtt.Connect(ctx, "mqtt://server", cfg)
			return err
		})
		srv.Accept().Close()
		err := call.Wait()
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "connect to server:1883")
	})
}

// endingHandler ends a context when a warning is logged.
type endingHandler struct {
	slog.Handler
	end func()
}

func (h endingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h endingHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (h endingHandler) Handle(context.Context, slog.Record) error {
	h.end()
	return nil
}

func TestRetryFirstReturnsAPermanentRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.RetryFirst = true
		d := Dial(t, cfg)
		srv.Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
		require.ErrorIs(t, d.Call.Wait(), mqtt.NotAuthorized)
	})
}

func TestRetryFirstObeysMaxAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		srv.Refuse()
		cfg := Quiet(srv)
		cfg.RetryFirst = true
		cfg.Reconnect = reconnect.Policy{MaxAttempts: 3}
		_, err := mqtt.Connect(t.Context(), "mqtt://server", cfg)
		require.ErrorIs(t, err, mqtt.ErrRetriesExhausted)
		require.ErrorContains(t, err, "refused")
	})
}

func TestCredentialsOfTheURLAreUsedUnlessConfigured(t *testing.T) {
	for url, want := range map[string]struct {
		cfg            mqtt.Config
		user, password string
	}{
		"mqtt://u:p%40w@server":   {mqtt.Config{}, "u", "p@w"},
		"mqtt://only@server":      {mqtt.Config{}, "only", ""},
		"mqtt://u:p@server":       {mqtt.Config{Username: "cu", Password: "cp"}, "cu", "cp"},
		"mqtt://x:y@server:1":     {mqtt.Config{Username: "alone"}, "alone", ""},
		"mqtt://server/":          {mqtt.Config{}, "", ""},
		"mqtt://:tok@server":      {mqtt.Config{}, "", "tok"},
		"unix://u:p@/run/mqtt.so": {mqtt.Config{}, "u", "p"},
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			want.cfg.Dial = srv.Dial
			call := Begin(func() error {
				_, err := mqtt.Connect(t.Context(), url, want.cfg)
				return err
			})
			conn := srv.Accept()
			p := conn.WantConnect()
			user := ""
			if p.Username != nil {
				user = *p.Username
			}
			require.Equal(t, want.user, user, url)
			require.Equal(t, want.password, string(p.Password), url)
			conn.Send(&wire.Connack{ReasonCode: wire.Banned})
			require.Error(t, call.Wait())
		})
	}
}

func TestDialGetsNetworkAndAddress(t *testing.T) {
	for url, want := range map[string][2]string{
		"mqtt://host":             {"tcp", "host:1883"},
		"tcp://host:1":            {"tcp", "host:1"},
		"MQTT://host/":            {"tcp", "host:1883"},
		"mqtt://[::1]":            {"tcp", "[::1]:1883"},
		"mqtts://host":            {"tcp", "host:8883"},
		"tls://host":              {"tcp", "host:8883"},
		"ssl://host:2":            {"tcp", "host:2"},
		"unix:///run/mqtt.sock":   {"unix", "/run/mqtt.sock"},
		"unix://relative/mqtt.so": {"unix", "relative/mqtt.so"},
	} {
		failed := errors.New("no network here")
		var got [2]string
		_, err := mqtt.Connect(t.Context(), url, mqtt.Config{Dial: func(_ context.Context, network, address string) (net.Conn, error) {
			got = [2]string{network, address}
			return nil, failed
		}})
		require.ErrorIs(t, err, failed)
		require.Equal(t, want, got, url)
	}
}

func TestDialThatReturnsNothingIsAnError(t *testing.T) {
	_, err := mqtt.Connect(t.Context(), "mqtt://host", mqtt.Config{
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, nil }})
	require.ErrorContains(t, err, "neither a connection nor an error")
}

// accept answers the CONNECT of one connection on a real socket and reads until
// its end.
func accept(l net.Listener) *Call {
	return Begin(func() error {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		defer nc.Close()
		r := wire.NewReader(nc, wire.V5, 0)
		if _, _, err := r.ReadPacket(); err != nil {
			return err
		}
		if _, err := nc.Write([]byte{0x20, 3, 0, 0, 0}); err != nil {
			return err
		}
		for err == nil {
			_, _, err = r.ReadPacket()
		}
		return nil
	})
}

func TestConnectOverAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mqtt.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	served := accept(l)
	client, err := mqtt.Connect(t.Context(), "unix://"+path, mqtt.Config{Version: mqtt.V5})
	require.NoError(t, err)
	require.NoError(t, client.Close())
	require.NoError(t, served.Wait())
}

func TestConnectOverTLSVerifiesTheHost(t *testing.T) {
	// The test server's certificate is for example.com and 127.0.0.1.
	https := httptest.NewTLSServer(nil)
	defer https.Close()
	roots := x509.NewCertPool()
	roots.AddCert(https.Certificate())
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: https.TLS.Certificates})
	require.NoError(t, err)
	defer l.Close()
	toListener := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
	cfg := mqtt.Config{Version: mqtt.V5, TLS: &tls.Config{RootCAs: roots}, Dial: toListener}

	served := accept(l)
	client, err := mqtt.Connect(t.Context(), "mqtts://example.com", cfg)
	require.NoError(t, err)
	require.NoError(t, client.Close())
	require.NoError(t, served.Wait())

	served = accept(l)
	_, err = mqtt.Connect(t.Context(), "mqtts://example.org", cfg)
	var wrong x509.HostnameError
	require.ErrorAs(t, err, &wrong)
	require.Error(t, served.Wait())
}

func TestGeneratedClientIDIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.ClientID = ""
		d := Dial(t, cfg)
		conn := srv.Accept()
		id := conn.WantConnect().ClientID
		require.Regexp(t, "^[0-9A-Za-z]{10,23}$", id)
		conn.Send(&wire.Connack{})
		require.Equal(t, id, d.Client(t).ServerInfo().ClientID)
		conn.Close()
		conn = srv.Accept()
		require.Equal(t, id, conn.WantConnect().ClientID)
	})
}

func TestSessionExpiry(t *testing.T) {
	for set, want := range map[time.Duration]uint32{0: 300, -1: 0, time.Second: 1, 1500 * time.Millisecond: 2} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := Quiet(srv)
			cfg.SessionExpiry = set
			d := Dial(t, cfg)
			conn := srv.Accept()
			require.Equal(t, want, conn.WantConnect().SessionExpiryInterval)
			conn.Send(&wire.Connack{SessionExpiryInterval: new(uint32(5))})
			require.Equal(t, 5*time.Second, d.Client(t).ServerInfo().SessionExpiry)
		})
	}
}

func TestResumeAsksForTheSessionAndKeepsItAtTheEnd(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.Resume = true
		d := Dial(t, cfg)
		conn := srv.Accept()
		require.False(t, conn.WantConnect().CleanStart)
		conn.Send(&wire.Connack{SessionPresent: true})
		client := d.Client(t)
		require.True(t, client.ServerInfo().SessionPresent)
		end := Begin(client.Close)
		conn.Want(&wire.Disconnect{}) // with the session expiry interval as it is
		conn.WantClosed()
		require.NoError(t, end.Wait())
	})
}

func TestNothingIsLeftBehindWithoutResume(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		end := Begin(client.Close)
		want := &wire.Disconnect{}
		if v == wire.V5 {
			want.SessionExpiryInterval = new(uint32(0))
		}
		conn.Want(want)
		conn.WantClosed()
		require.NoError(t, end.Wait())
	})
}

func TestSecretsAreNeverShown(t *testing.T) {
	const secret = "s3cr3t"
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		var log bytes.Buffer
		cfg := Quiet(srv)
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg.Username, cfg.Password = "user", secret
		shown := fmt.Sprintf("%v %+v %#v %s %q", cfg, cfg, cfg, cfg, cfg)
		shown += fmt.Sprintf("%v %+v %#v %s %q %x", &cfg, &cfg, &cfg, cfg.Password, cfg.Password, cfg.Password)
		cfg.Logger.Info("configuration", "cfg", cfg, "password", cfg.Password)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("configuration", "password", cfg.Password)

		client, conn := Open(t, srv, cfg)
		shown += fmt.Sprintf("%v %+v %#v %s", client, client, client, client)
		evict(conn, wire.NotAuthorized)
		evict(srv.Connected(Resumed()), wire.NotAuthorized)
		<-client.Done()
		shown += client.Err().Error() + log.String()
		require.NotContains(t, shown, secret)
		require.NotContains(t, shown, hex.EncodeToString([]byte(secret)))
		require.Contains(t, shown, "redacted")
	})
}

func TestURLErrorsShowNoPassword(t *testing.T) {
	for _, url := range []string{
		"mqtt://user:s3cr3t@",
		"mqtt://user:s3cr3t@host:port",
		"mqtt://user:s3cr3t%zz@host",
		"mqtt://user:s3cr3t@host/path",
		"mqtt://user:s3cr3t@host?query",
		"mqtt://user:s3cr3t/@host",
		"mqtt://user:12/s3cr3t@host",
		"mqtt://user:12?s3cr3t@host",
		"mqtt://user:12#s3cr3t@host",
		"mqtt:user:s3cr3t@host",
		"user:s3cr3t@host:1883",
		"//user:s3cr3t@host:1883",
		"http://user:s3cr3t@host",
		"unix://user:s3cr3t@",
		"unix://user:12/s3cr3t@run/mqtt.sock",
		"mqtt://user:s3cr3t\x00@host",
		"mqtt://us er:s3cr3t@host",
		"mqtt://user:s3cr3t@[::1",
	} {
		_, err := mqtt.Connect(t.Context(), url, mqtt.Config{Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("dialled")
		}})
		require.ErrorIs(t, err, mqtt.ErrInvalid, url)
		require.NotContains(t, err.Error(), "s3cr3t")
		require.True(t, strings.HasPrefix(err.Error(), "mqtt: "), "%v", err)
	}
}

// named is a World with names. Config.Dial would resolve them itself, so it takes the
// place of the operating system.
type named struct {
	*World
	mu      sync.Mutex
	hosts   map[string][]string
	records map[string][]*net.SRV
}

func (n *named) LookupNetIP(_ context.Context, _, host string) (found []netip.Addr, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.hosts[host] {
		found = append(found, netip.MustParseAddr(a))
	}
	if found == nil {
		err = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return found, err
}

func (n *named) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	key := "_" + service + "._" + proto + "." + name
	records, ok := n.records[key]
	if !ok {
		return "", nil, &net.DNSError{Err: "no such host", Name: key, IsNotFound: true}
	}
	return key, records, nil
}

func (n *named) config() mqtt.Config {
	cfg := n.Config()
	cfg.Dial = nil
	mqtt.SetNetwork(&cfg, n)
	return cfg
}

func TestFailureOfARoundTellsAllServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &named{World: new(World)}
		cfg := w.config()
		cfg.Servers = []string{"mqtt://b:7"}
		err := Connect(t, "mqtt://10.0.0.1", cfg).Call.Wait()
		require.EqualError(t, err, "mqtt: connect: 10.0.0.1:1883: 10.0.0.1:1883 unreachable; b:7: lookup b: no such host")
		require.ErrorIs(t, err, ErrUnreachable)
		var dns *net.DNSError
		require.ErrorAs(t, err, &dns)
	})
}

func TestAddressesAreLookedUpAgainInEachRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		w := &named{hosts: map[string][]string{"h": {"10.0.0.1"}},
			World: &World{Servers: map[string]*mqtttest.Server{"10.0.0.1:1883": srv, "10.0.0.2:1883": srv}}}
		d := Connect(t, "mqtt://h", w.config())
		conn := srv.Connected(&wire.Connack{})
		d.Client(t)
		w.mu.Lock()
		w.hosts["h"] = []string{"10.0.0.2"}
		w.mu.Unlock()
		conn.Close()
		srv.Connected(&wire.Connack{})
		require.Equal(t, []string{"10.0.0.1:1883", "10.0.0.2:1883"}, w.Took())
	})
}

func TestAllAddressesAreTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf, good := mqtttest.NewServer(t, wire.V5), mqtttest.NewServer(t, wire.V5)
		w := &named{
			hosts: map[string][]string{"h": {"10.0.0.1", "10.0.0.2", "10.0.0.3", "fe80::1"}},
			World: &World{Servers: map[string]*mqtttest.Server{
				"10.0.0.1:1883":  nil,  // swallows packets
				"[fe80::1]:1883": deaf, // accepts and says nothing
				"10.0.0.3:1883":  good,
			}}}
		cfg := w.config()
		cfg.ConnectTimeout = 10 * time.Second
		begun := time.Now()
		d := Connect(t, "mqtt://h", cfg)
		conn := deaf.Accept()
		conn.WantConnect()
		conn.WantClosed()
		require.Equal(t, 10*time.Second, time.Since(begun))
		// The first had a head start, the second was then of no use, the third
		// refuses, and the first still does not answer when the fourth is dialled.
		good.Connected(&wire.Connack{})
		d.Client(t)
		require.Equal(t, []string{"10.0.0.1:1883", "[fe80::1]:1883", "10.0.0.1:1883", "10.0.0.2:1883", "10.0.0.3:1883"}, w.Took())
		require.Equal(t, 10*time.Second+250*time.Millisecond, time.Since(begun))
	})
}

func TestOtherAddressesAreNotAskedWhatTheServerHasAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		w := &named{hosts: map[string][]string{"h": {"10.0.0.1", "10.0.0.2"}},
			World: &World{Servers: map[string]*mqtttest.Server{"10.0.0.1:1883": srv, "10.0.0.2:1883": srv}}}
		d := Connect(t, "mqtt://h", w.config())
		srv.Connected(&wire.Connack{ReasonCode: wire.ServerBusy})
		require.EqualError(t, d.Call.Wait(), "mqtt: connect to h:1883: server answered CONNACK: server busy (0x89)")
		require.Equal(t, []string{"10.0.0.1:1883"}, w.Took())
	})
}

func TestLongListsOfAddressesAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &named{World: new(World), hosts: map[string][]string{}}
		for i := range 200 {
			w.hosts["h"] = append(w.hosts["h"], fmt.Sprintf("10.0.0.%d", i))
		}
		err := Connect(t, "mqtt://h", w.config()).Call.Wait()
		require.ErrorIs(t, err, ErrUnreachable)
		require.Len(t, w.Took(), 16)
		require.Less(t, len(err.Error()), 400)
	})
}

func TestLocalAddrLeavesOutTheOtherFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &named{World: new(World), hosts: map[string][]string{"h": {"fe80::1", "10.0.0.1", "fe80::2", "10.0.0.2"}}}
		cfg := w.config()
		cfg.LocalAddr = "192.0.2.1"
		require.Error(t, Connect(t, "mqtt://h", cfg).Call.Wait())
		require.Equal(t, []string{"10.0.0.1:1883", "10.0.0.2:1883"}, w.Took())
		w.hosts["h"] = []string{"fe80::1"}
		require.ErrorContains(t, Connect(t, "mqtt://h", cfg).Call.Wait(), "no address that Config.LocalAddr can reach")
	})
}

func TestSRVRecords(t *testing.T) {
	for scheme, service := range map[string]string{"mqtt+srv": "_mqtt", "mqtts+srv": "_secure-mqtt"} {
		synctest.Test(t, func(t *testing.T) {
			w := &named{World: new(World),
				hosts: map[string][]string{"a.example": {"10.0.0.1"}, "b.example": {"10.0.0.2"}},
				records: map[string][]*net.SRV{service + "._tcp.example.com": {
					{Target: "b.example.", Port: 2, Priority: 20},
					{Target: "a.example.", Port: 1, Priority: 10},
					{Target: "gone.example.", Port: 3, Priority: 15},
				}}}
			err := Connect(t, scheme+"://example.com", w.config()).Call.Wait()
			require.ErrorContains(t, err, "connect to example.com: 10.0.0.1:1 unreachable; lookup gone.example: no such host; 10.0.0.2:2 unreachable")
			require.Equal(t, []string{"10.0.0.1:1", "10.0.0.2:2"}, w.Took())
		})
	}
}

func TestSRVWithoutServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &named{World: new(World), records: map[string][]*net.SRV{"_mqtt._tcp.none.example": {{Target: "."}}}}
		err := Connect(t, "mqtt+srv://none.example", w.config()).Call.Wait()
		require.ErrorContains(t, err, "_mqtt._tcp.none.example offers no server")
		err = Connect(t, "mqtt+srv://missing.example", w.config()).Call.Wait()
		require.ErrorContains(t, err, "no such host")
		require.Empty(t, w.Took())
	})
}

func TestSRVTargetThatIsBusySendsUsToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := mqtttest.NewServer(t, wire.V5), mqtttest.NewServer(t, wire.V5)
		w := &named{World: &World{Servers: map[string]*mqtttest.Server{"10.0.0.1:1": a, "10.0.0.2:2": b}},
			records: map[string][]*net.SRV{"_mqtt._tcp.example.com": {
				{Target: "10.0.0.1", Port: 1, Priority: 1}, {Target: "10.0.0.2", Port: 2, Priority: 2}}}}
		d := Connect(t, "mqtt+srv://example.com", w.config())
		a.Connected(&wire.Connack{ReasonCode: wire.ServerBusy})
		b.Connected(&wire.Connack{})
		d.Client(t)
	})
}

func TestReferenceIsAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, s := Cluster(t, 3)
		cluster.Servers["[fe80::1]:1884"] = s[2]
		w := &named{World: cluster, hosts: map[string][]string{"b.example": {"10.0.0.9"}}}
		d := Connect(t, "mqtt://10.0.0.1", w.config())
		s[0].Connected(Use(" 10.0.0.7 b.example:99  [fe80::1]:1884 10.0.0.2"))
		s[2].Connected(&wire.Connack{})
		d.Client(t)
		require.Equal(t, []string{"10.0.0.1:1883", "10.0.0.7:1883", "10.0.0.9:99", "[fe80::1]:1884"}, w.Took())
	})
}
