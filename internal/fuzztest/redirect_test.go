package fuzztest

import (
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

// configured are the hosts that the client of FuzzRedirect knows.
var configured = []string{"10.0.0.1", "10.0.0.2"}

// FuzzRedirect plays redirections to the client, in CONNACK and in DISCONNECT, in any
// order and to any place. Credentials go where the program allows it, and nowhere else.
func FuzzRedirect(f *testing.F) {
	for policy := range byte(5) {
		f.Add([]byte{policy, 1, 0, 1, 2, 3, 0, 4, 5, 1, 6, 7, 2, 8})
		f.Add([]byte{policy, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 2})
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 300 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.play(NewChoices(script), redirectStep, w.redirectable)
		})
	})
}

// redirectable chooses what the client does about redirections, and watches what it does.
func (w *world) redirectable(c *Choices, cfg *mqtt.Config) {
	policy := c.N(5)
	cfg.Version, cfg.Servers = mqtt.V5, []string{"mqtt://10.0.0.2"}
	if c.Bool() {
		cfg.Username, cfg.Password = "user", "password"
	}
	action := mqtt.RedirectAction(policy - 1)
	if policy > 0 {
		cfg.Redirect = func(mqtt.Redirection) mqtt.RedirectAction { return action }
	}
	secret := cfg.Username != ""
	w.server.connect = func(address string, p *wire.Connect) {
		host, port, _ := net.SplitHostPort(address)
		own := slices.Contains(configured, host) && (policy == 0 || port == "1883")
		brings := p.Username != nil || p.Password != nil
		switch {
		case own: // it may be a redirection to a server that is configured
		case policy == 0 && secret, policy > 0 && action != mqtt.FollowWithCredentials && action != mqtt.FollowWithoutCredentials:
			w.t.Errorf("the client followed to %s", address)
		case brings != (secret && policy > 0 && action == mqtt.FollowWithCredentials):
			w.t.Errorf("the client went to %s; with credentials: %v", address, brings)
		}
	}
}

// redirectStep is one step of FuzzRedirect.
func redirectStep(c *Choices, w *world) {
	code, to := Pick(c, wire.UseAnotherServer, wire.ServerMoved), c.reference()
	switch c.N(6) {
	case 0:
		w.server.behave(func(m *manners) {
			m.accept = true
			m.welcomes = wire.Connack{ReasonCode: code, ServerReference: to}
		})
		w.cut(c)
	case 1, 2:
		if peer := w.server.last(); peer != nil {
			peer.send(&wire.Disconnect{ReasonCode: code, ServerReference: to})
			peer.end()
		}
	case 3:
		w.server.behave(func(m *manners) { *m = good })
	case 4:
		w.server.behave(func(m *manners) { m.refuse = !m.refuse })
		w.cut(c)
	default:
		d := Pick(c, time.Second, 10*time.Second, time.Minute)
		w.server.allow(20 + 10*int(d/time.Second)) // a round has up to 17, of five redirections to three servers
		time.Sleep(d)
	}
}

// reference returns what a server may name.
func (c *Choices) reference() string {
	if c.N(4) == 0 {
		return c.Text()
	}
	return Pick(c,
		"10.0.0.2", "10.0.0.3", "10.0.0.1:1883", "10.0.0.3:1884 10.0.0.4", "[fe80::1]:1883", "10.0.0.1:1884", "10.0.0.2.", "010.0.0.2",
		"mqtts://10.0.0.3", "user:password@10.0.0.3", "10.0.0.3/path", "", " ", "10.0.0.1 10.0.0.2 10.0.0.3", "ws://10.0.0.3/x?y", "unix:///run/x")
}
