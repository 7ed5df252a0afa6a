package broker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// check is a rule and somebody who tries to get round it. It runs in all versions from
// since on, with and without a store, unless it says otherwise.
type check struct {
	name  string
	since wire.Version // zero: all
	store bool         // only with one
	rules string       // an ACL
	try   func(r *realm)
}

// realm is a broker with rules, and those who want something from it. The user root may
// everything.
type realm struct {
	t    *testing.T
	v    wire.Version
	b    *Broker
	acl  *ACL
	file string
	cfg  Config
	root *script
}

const rootRules = "user root\ntopic readwrite #\ntopic read $SYS/#\ntopic read $x\n"

func runChecks(t *testing.T, checks []check) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			for _, v := range versions {
				for _, durable := range []bool{false, true} {
					if v < c.since || c.store && !durable {
						continue
					}
					synctest.Test(t, func(t *testing.T) {
						r := newRealm(t, v, c.rules)
						if durable {
							r.cfg.Store = store.Memory()
						}
						r.start()
						c.try(r)
						r.healthy()
						require.NoError(t, r.b.Close())
					})
				}
			}
		})
	}
}

func newRealm(t *testing.T, v wire.Version, rules string) *realm {
	r := &realm{t: t, v: v, file: filepath.Join(t.TempDir(), "acl")}
	r.write(rules)
	var err error
	r.acl, err = LoadACL(r.file)
	require.NoError(t, err)
	r.cfg = Config{Authenticators: []Authenticator{subjects}, Authorizers: []Authorizer{r.acl}}
	return r
}

func (r *realm) write(rules string) {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(r.file, []byte(rootRules+rules), 0o600))
}

// rule puts new rules into force.
func (r *realm) rule(rules string) {
	r.t.Helper()
	r.write(rules)
	require.NoError(r.t, r.acl.Reload())
}

func (r *realm) start() {
	r.t.Helper()
	var err error
	r.b, err = Open(r.cfg)
	require.NoError(r.t, err)
	r.root, _ = join(r.t, r.b, wire.V5, as("root", &wire.Connect{ClientID: "root", CleanStart: true}))
}

// restart begins anew with new rules, if there is a store to go on with.
func (r *realm) restart(rules string) {
	r.t.Helper()
	require.NoError(r.t, r.b.Close())
	r.write(rules)
	var err error
	r.acl, err = LoadACL(r.file)
	require.NoError(r.t, err)
	r.cfg.Authorizers = []Authorizer{r.acl}
	r.start()
}

// healthy checks that nothing hangs, whatever was tried.
func (r *realm) healthy() {
	r.t.Helper()
	synctest.Wait()
	s, _ := join(r.t, r.b, wire.V5, as("root", &wire.Connect{ClientID: "healthy", CleanStart: true}))
	s.subscribe(filter("healthy", 1))
	s.send(&wire.Publish{Topic: "healthy", QoS: 1, PacketID: 1})
	require.Equal(r.t, "healthy", receiveOf[*wire.Publish](s).Topic)
}

// receiveOf returns the next packet of a kind.
func receiveOf[P wire.Packet](s *script) P {
	s.t.Helper()
	for {
		p, err := s.next()
		require.NoError(s.t, err)
		if found, ok := p.(P); ok {
			return found
		}
	}
}

// login connects a user under an identifier with a session that outlives the connection.
func (r *realm) login(user, id string) *script {
	r.t.Helper()
	s, _ := join(r.t, r.b, r.v, as(user, durableConnect(r.v, id)))
	return s
}

// watches subscribes root to a filter.
func (r *realm) watches(f string) {
	r.t.Helper()
	r.root.subscribe(filter(f, 2))
}

// sends publishes as the program.
func (r *realm) sends(topic, payload string, qos wire.QoS) {
	r.t.Helper()
	err := r.b.Publish(&wire.Publish{Topic: topic, Payload: []byte(payload), QoS: qos})
	require.True(r.t, err == nil)
	synctest.Wait()
}

// publishes sends p and wants the answer that the version has for code.
func (s *script) publishes(p *wire.Publish, code wire.ReasonCode) {
	s.t.Helper()
	if p.QoS > 0 {
		p.PacketID = 50
	}
	s.send(p)
	synctest.Wait()
	if s.version < wire.V5 {
		code = wire.Success // [MQTT-3.3.5-2] of 3.1.1
	}
	if code == wire.Success && s.version == wire.V5 {
		code = wire.NoMatchingSubscribers // or Success, see below
	}
	same := func(got wire.ReasonCode) {
		if code == wire.NoMatchingSubscribers {
			require.False(s.t, got.Failed(), "%v", got)
		} else {
			require.Equal(s.t, code, got)
		}
	}
	switch p.QoS {
	case wire.AtLeastOnce:
		same(receive[*wire.Puback](s).ReasonCode)
	case wire.ExactlyOnce:
		got := receive[*wire.Pubrec](s).ReasonCode
		same(got)
		if !got.Failed() {
			s.send(&wire.Pubrel{PacketID: p.PacketID})
			s.want(&wire.Pubcomp{PacketID: p.PacketID})
		}
	}
}

// may publishes at every QoS and wants root, who watches, to get it or not.
func (r *realm) may(s *script, topic string, want bool) {
	r.t.Helper()
	for qos := range wire.QoS(3) {
		code := wire.NotAuthorized
		if want {
			code = wire.Success
		}
		s.publishes(&wire.Publish{Topic: topic, Payload: []byte("x"), QoS: qos}, code)
		if want {
			require.Equal(r.t, topic, receiveAs(r.root).Topic)
		}
		r.root.idle()
	}
}

// asks subscribes and wants these codes: the QoS that is granted, or the reason against
// it, which is 0x80 before 5.0.
func (s *script) asks(codes []wire.ReasonCode, filters ...wire.SubscribeFilter) {
	s.t.Helper()
	s.send(&wire.Subscribe{PacketID: 60, Filters: filters})
	got := receive[*wire.Suback](s)
	require.Len(s.t, got.ReasonCodes, len(codes))
	for i, want := range codes {
		if want.Failed() && s.version < wire.V5 {
			want = wire.UnspecifiedError
		}
		require.Equal(s.t, want, got.ReasonCodes[i], filters[i].Filter)
	}
}

// granted and refused are what asks wants for one filter.
func granted(qos wire.QoS) []wire.ReasonCode { return []wire.ReasonCode{wire.ReasonCode(qos)} }

var denial = []wire.ReasonCode{wire.NotAuthorized}

// wants takes messages with these payloads, and wants no more.
func (s *script) wants(payloads ...string) {
	s.t.Helper()
	s.t.Helper()
	for {
		p, err := s.next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			require.Empty(s.t, payloads, "did not come")
			return
		}
		require.NoError(s.t, err)
		switch p := p.(type) {
		case *wire.Publish:
			require.NotEmpty(s.t, payloads, "leaked: %q", p.Payload)
			require.Equal(s.t, payloads[0], string(p.Payload))
			payloads = payloads[1:]
			switch p.QoS {
			case wire.AtLeastOnce:
				s.send(&wire.Puback{PacketID: p.PacketID})
			case wire.ExactlyOnce:
				s.send(&wire.Pubrec{PacketID: p.PacketID})
			}
		case *wire.Pubrel:
			s.send(&wire.Pubcomp{PacketID: p.PacketID})
		default:
			require.Fail(s.t, "not expected", "%+v", p)
		}
	}
}

// leaves ends the connection with an orderly goodbye; the session stays.
func (s *script) leaves() {
	s.t.Helper()
	s.send(&wire.Disconnect{})
	s.closed()
	synctest.Wait()
}

// slow is an authorizer that takes its time about one topic.
type slow struct {
	topic string
	wait  chan struct{}
}

func (h slow) Authorize(ctx context.Context, a *Access) Decision {
	if a.Topic == h.topic {
		select {
		case <-h.wait:
		case <-ctx.Done():
			return Deny(wire.NotAuthorized, "")
		}
	}
	return Allow()
}

// soon is enough for everything that is not waited for.
const soon = 50 * time.Millisecond
