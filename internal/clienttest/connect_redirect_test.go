package clienttest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestAnotherServerIsUsedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 2)
		begun := time.Now()
		d := Connect(t, "mqtt://10.0.0.1", w.Config())
		s[0].Connected(Use("10.0.0.2"))
		conn := s[1].Connected(&wire.Connack{})
		d.Client(t)
		require.Zero(t, time.Since(begun))
		conn.Close()
		s[0].Connected(&wire.Connack{})
	})
}

func TestMovedServerIsUsedFromNowOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 2)
		d := Connect(t, "mqtt://10.0.0.1", w.Config())
		s[0].Connected(Moved("10.0.0.2:1883"))
		conn := s[1].Connected(&wire.Connack{})
		d.Client(t)
		for range 3 {
			conn.Close()
			conn = s[1].Connected(&wire.Connack{})
		}
		s[1].Refuse()
		conn.Close()
		s[0].Connected(&wire.Connack{}) // better than nothing
	})
}

func TestRedirectionByDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 3)
		d := Connect(t, "mqtt://10.0.0.1", w.Config())
		conn := s[0].Connected(&wire.Connack{})
		client := d.Client(t)
		call := Publish(t, client, "x", 1)
		conn.Want(Pub(1, 1, "x"))
		begun := time.Now()
		conn.Send(&wire.Disconnect{ReasonCode: wire.UseAnotherServer, ServerReference: "10.0.0.3 10.0.0.2"})
		conn = s[2].Connected(&wire.Connack{})
		require.Zero(t, time.Since(begun))
		p := mqtttest.Take[*wire.Publish](conn)
		conn.Send(Puback(p.PacketID))
		require.NoError(t, call.Wait())
	})
}

func TestMoveByDisconnectIsTriedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 1)
		d := Connect(t, "mqtt://10.0.0.1", w.Config())
		conn := s[0].Connected(&wire.Connack{})
		d.Client(t)
		w.Took()
		conn.Send(&wire.Disconnect{ReasonCode: wire.ServerMoved, ServerReference: "10.0.0.7"})
		s[0].Connected(&wire.Connack{}) // better than nothing
		require.Equal(t, []string{"10.0.0.7:1883", "10.0.0.1:1883"}, w.Took())
	})
}

func TestBadReferencesAreNotFollowed(t *testing.T) {
	for reference, text := range map[string]string{
		"":                          "names no other",
		"   ":                       "names no other",
		"http://evil":               "not a list of host:port",
		"user:pass@evil":            "not a list of host:port",
		"evil/path":                 "not a list of host:port",
		"10.0.0.2:0":                "not a list of host:port",
		"10.0.0.2:65536":            "not a list of host:port",
		"10.0.0.2:+1":               "not a list of host:port",
		"fe80::1":                   "not a list of host:port",
		"[fe80::1%x\ny]":            "not a list of host:port",
		"[10.0.0.2]":                "not a list of host:port",
		"[fe80::1":                  "not a list of host:port",
		"10.0.0.2 \t":               "not a list of host:port",
		"10.0.0.2 ü":                "not a list of host:port",
		":1883":                     "not a list of host:port",
		strings.Repeat("x", 254):    "not a list of host:port",
		strings.Repeat("h ", 1000):  "more than 1024 bytes",
		strings.Repeat("x", 60_000): "more than 1024 bytes",
	} {
		synctest.Test(t, func(t *testing.T) {
			w, s := Cluster(t, 2)
			d := Connect(t, "mqtt://10.0.0.1", w.Config())
			s[0].Connected(Use(reference))
			err := d.Call.Wait()
			require.ErrorIs(t, err, mqtt.UseAnotherServer)
			require.ErrorContains(t, err, "(not followed: ")
			require.ErrorContains(t, err, text, "%.40q", reference)
			require.Less(t, len(err.Error()), 350)
			require.Equal(t, []string{"10.0.0.1:1883"}, w.Took())
		})
	}
}

func TestServersThatSendUsInCirclesAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 2)
		d := Connect(t, "mqtt://10.0.0.1", w.Config())
		for range 3 {
			s[0].Connected(Use("10.0.0.2"))
			s[1].Connected(Use("10.0.0.1"))
		}
		err := d.Call.Wait()
		require.ErrorContains(t, err, "5 redirections in a row")
		require.False(t, mqtt.IsPermanent(err))
		require.Len(t, w.Took(), 6)
	})
}

func TestCirclesByDisconnectAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 2)
		d := Connect(t, "mqtt://10.0.0.1", w.Config())
		begun := time.Now()
		for i := range 120 {
			conn := s[i%2].Connected(&wire.Connack{})
			if i == 0 {
				d.Client(t)
			}
			conn.Send(&wire.Disconnect{ReasonCode: wire.UseAnotherServer, ServerReference: fmt.Sprintf("10.0.0.%d", 2-i%2)})
			conn.Close()
		}
		require.Greater(t, time.Since(begun), time.Minute, "20 pauses of 15 s on average in the end")
	})
}

func TestCredentialsAreForOurOwnServers(t *testing.T) {
	for name, give := range map[string]func(*mqtt.Config){
		"user name":       func(c *mqtt.Config) { c.Username = "u" },
		"password":        func(c *mqtt.Config) { c.Password = "p" },
		"certificate":     func(c *mqtt.Config) { c.TLS = &tls.Config{Certificates: []tls.Certificate{{}}} },
		"header":          func(c *mqtt.Config) { c.Header = http.Header{"Authorization": {"x"}} },
		"user properties": func(c *mqtt.Config) { c.UserProperties = []mqtt.UserProperty{{Name: "token"}} },
		"function":        func(c *mqtt.Config) { c.Attempt = func(context.Context, *mqtt.Attempt) error { return nil } },
	} {
		synctest.Test(t, func(t *testing.T) {
			w, s := Cluster(t, 2)
			cfg := w.Config()
			give(&cfg)
			d := Connect(t, "mqtt://10.0.0.1", cfg)
			s[0].Connected(Use("10.0.0.2"))
			require.ErrorContains(t, d.Call.Wait(), "credentials are not sent to another host unless Config.Redirect allows it", name)
			require.Equal(t, []string{"10.0.0.1:1883"}, w.Took())
		})
	}
}

func TestCredentialsAreForOurOwnServersAlsoAfterADisconnect(t *testing.T) {
	secrets := map[string]func(*mqtt.Config){
		"none":            func(*mqtt.Config) {},
		"user name":       func(c *mqtt.Config) { c.Username = "u" },
		"certificate":     func(c *mqtt.Config) { c.TLS = &tls.Config{Certificates: []tls.Certificate{{}}} },
		"header":          func(c *mqtt.Config) { c.Header = http.Header{"Authorization": {"x"}} },
		"user properties": func(c *mqtt.Config) { c.UserProperties = []mqtt.UserProperty{{Name: "token"}} },
		"function":        func(c *mqtt.Config) { c.Attempt = func(context.Context, *mqtt.Attempt) error { return nil } },
	}
	for name, give := range secrets {
		synctest.Test(t, func(t *testing.T) {
			w, s := Cluster(t, 2)
			cfg := w.Config()
			give(&cfg)
			d := Connect(t, "mqtt://10.0.0.1", cfg)
			conn := s[0].Connected(&wire.Connack{})
			d.Client(t)
			conn.Send(&wire.Disconnect{ReasonCode: wire.UseAnotherServer, ServerReference: "10.0.0.2"})
			next := s[0]
			if name == "none" {
				next = s[1]
			}
			next.Connected(&wire.Connack{})
		})
	}
}

func TestServerOfADisconnectGetsTheCredentialsOfTheURLIfItMay(t *testing.T) {
	for action, want := range map[mqtt.RedirectAction]string{mqtt.FollowWithCredentials: "p", mqtt.FollowWithoutCredentials: ""} {
		synctest.Test(t, func(t *testing.T) {
			w, s := Cluster(t, 3)
			cfg := w.Config()
			cfg.Redirect = func(mqtt.Redirection) mqtt.RedirectAction { return action }
			d := Connect(t, "mqtt://u:p@10.0.0.1", cfg)
			conn := s[0].Connected(&wire.Connack{})
			d.Client(t)
			for _, hop := range []int{2, 3} { // the second from a server that was named itself
				conn.Send(&wire.Disconnect{ReasonCode: wire.UseAnotherServer, ServerReference: fmt.Sprint("10.0.0.", hop)})
				conn = s[hop-1].Accept()
				require.Equal(t, want, string(conn.WantConnect().Password))
				conn.Send(&wire.Connack{})
			}
		})
	}
}

func TestConfiguredHostsGetCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 2)
		w.Servers["10.0.0.2:7"] = s[1]
		cfg := w.Config()
		cfg.Username, cfg.Password = "u", "p"
		cfg.Servers = []string{"mqtt://10.0.0.2"}
		d := Connect(t, "mqtt://10.0.0.1", cfg)
		s[0].Connected(Use("10.0.0.2:7"))
		conn := s[1].Accept()
		require.Equal(t, "p", string(conn.WantConnect().Password))
		conn.Send(&wire.Connack{})
		d.Client(t)
		require.Equal(t, []string{"10.0.0.1:1883", "10.0.0.2:7"}, w.Took())
	})
}

func TestRedirectDecides(t *testing.T) {
	for action, want := range map[mqtt.RedirectAction]struct{ user, password, property string }{
		mqtt.FollowWithCredentials:    {"u", "from the function", "a"},
		mqtt.FollowWithoutCredentials: {},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, s := Cluster(t, 3)
			cfg := w.Config()
			cfg.UserProperties = []mqtt.UserProperty{{Name: "a"}}
			var asked []mqtt.Redirection
			cfg.Redirect = func(r mqtt.Redirection) mqtt.RedirectAction {
				asked = append(asked, r)
				if r.To == "10.0.0.2:1883" {
					return mqtt.StayAway
				}
				return action
			}
			redirected := false
			cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
				redirected = a.Redirected
				a.Password = "from the function" // which does not look where it goes
				return nil
			}
			d := Connect(t, "mqtt://u:p@10.0.0.1", cfg)
			s[0].Connected(Moved("10.0.0.2 10.0.0.3"))
			conn := s[2].Accept()
			p := conn.WantConnect()
			user, property := "", ""
			if p.Username != nil {
				user = *p.Username
			}
			if len(p.UserProperties) > 0 {
				property = p.UserProperties[0].Name
			}
			require.Equal(t, want, struct{ user, password, property string }{user, string(p.Password), property})
			require.Equal(t, []mqtt.Redirection{
				{From: "10.0.0.1:1883", To: "10.0.0.2:1883", Moved: true},
				{From: "10.0.0.1:1883", To: "10.0.0.3:1883", Moved: true}}, asked)
			require.True(t, redirected)
			conn.Send(&wire.Connack{})
			d.Client(t)
		})
	}
}

func TestRedirectionCanBeSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 2)
		cfg := w.Config()
		cfg.Redirect = func(mqtt.Redirection) mqtt.RedirectAction { return mqtt.StayAway }
		d := Connect(t, "mqtt://10.0.0.1", cfg)
		s[0].Connected(Use("10.0.0.2"))
		err := d.Call.Wait()
		require.ErrorContains(t, err, "Config.Redirect did not allow it")
		var said *mqtt.ServerError
		require.ErrorAs(t, err, &said)
		require.Equal(t, "10.0.0.2", said.ServerReference)
	})
}

func TestUnknownRedirectActionIsNoConsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 2)
		cfg := w.Config()
		cfg.Redirect = func(mqtt.Redirection) mqtt.RedirectAction { return mqtt.FollowWithCredentials + 1 }
		d := Connect(t, "mqtt://u:p@10.0.0.1", cfg)
		s[0].Connected(Use("10.0.0.2"))
		require.ErrorContains(t, d.Call.Wait(), "Config.Redirect did not allow it")
		require.Equal(t, []string{"10.0.0.1:1883"}, w.Took())
	})
}

func TestServerNamedByAnotherCanNotEndTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 2)
		cfg := w.Config()
		cfg.RetryFirst = true
		d := Connect(t, "mqtt://10.0.0.1", cfg)
		s[0].Connected(Use("10.0.0.2"))
		s[1].Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
		s[0].Connected(&wire.Connack{})
		d.Client(t)
	})
}

func TestRedirectedWebSocketKeepsItsPathButNotItsQuery(t *testing.T) {
	for action, want := range map[mqtt.RedirectAction]string{
		mqtt.FollowWithCredentials:    "/ws?sig=hidden",
		mqtt.FollowWithoutCredentials: "/ws",
	} {
		synctest.Test(t, func(t *testing.T) {
			web := NewWebServer(t)
			cfg := web.Config()
			cfg.Header = http.Header{"Authorization": {"hidden"}}
			cfg.Redirect = func(mqtt.Redirection) mqtt.RedirectAction { return action }
			d := Connect(t, "ws://host/ws?sig=hidden", cfg)
			p := web.Switched()
			p.Want(OpBinary)
			p.Send(Use("other.example"))
			p.Conn.Close()
			p = web.Accept()
			require.Equal(t, "other.example", p.Request.Host)
			require.Equal(t, want, p.Request.RequestURI)
			require.Equal(t, action == mqtt.FollowWithCredentials, p.Request.Header.Get("Authorization") != "")
			p.Conn.Close()
			require.Error(t, d.Call.Wait())
		})
	}
}

func TestWithheldCredentialsStayInTheCallersTLSConfig(t *testing.T) {
	shared := &tls.Config{Certificates: []tls.Certificate{{}}}
	for name, conf := range map[string]*tls.Config{"the caller's own": shared, "none": nil} {
		synctest.Test(t, func(t *testing.T) {
			w, s := Cluster(t, 2)
			cfg := w.Config()
			cfg.Redirect = func(mqtt.Redirection) mqtt.RedirectAction { return mqtt.FollowWithoutCredentials }
			cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
				a.TLS = conf
				return nil
			}
			d := Connect(t, "mqtt://10.0.0.1", cfg)
			s[0].Connected(Use("10.0.0.2"))
			s[1].Connected(&wire.Connack{})
			d.Client(t)
			require.Len(t, shared.Certificates, 1, name)
		})
	}
}

func TestRedirectionFromAServerThatAttemptHasChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		cfg := web.Config()
		var asked mqtt.Redirection
		cfg.Redirect = func(r mqtt.Redirection) mqtt.RedirectAction {
			asked = r
			return mqtt.FollowWithCredentials
		}
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			if !a.Redirected {
				a.Server = "ws://host/ws?sig=hidden"
			}
			return nil
		}
		d := Connect(t, "mqtt://us3r:p@configured", cfg)
		p := web.Switched()
		p.Want(OpBinary)
		p.Send(Use("other.example"))
		p.Conn.Close()
		p = web.Accept() // in the same way, and not over plain TCP
		require.Equal(t, "other.example", p.Request.Host)
		require.Equal(t, "/ws?sig=hidden", p.Request.RequestURI)
		require.Equal(t, mqtt.Redirection{From: "host:80", To: "other.example:80"}, asked)
		p.Agree("mqtt")
		require.Contains(t, string(p.Want(OpBinary)), "us3r")
		p.Conn.Close()
		require.Error(t, d.Call.Wait())
	})
}

func TestCloseDoesNotWaitForRedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 100})
		cfg := Quiet(srv)
		var asked atomic.Bool
		cfg.Redirect = func(mqtt.Redirection) mqtt.RedirectAction {
			asked.Store(true)
			return mqtt.StayAway
		}
		client, conn := Open(t, srv, cfg)
		PublishAsync(t, client, strings.Repeat("x", 1000), 1) // the server does not read it
		synctest.Wait()
		conn.Send(&wire.Disconnect{ReasonCode: wire.UseAnotherServer, ServerReference: "other.example"})
		synctest.Wait()
		require.NoError(t, client.Close())
		require.False(t, asked.Load(), "there is nothing to decide")
	})
}
