package broker

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// What is on its way when a right is taken away.

func TestRightsThatAreTakenAway(t *testing.T) {
	runChecks(t, atEachQoS("live", "user u\ntopic read a", func(r *realm, qos wire.QoS) {
		s := r.login("u", "c")
		s.subscribe(filter("a", qos))
		r.sends("a", "1", qos)
		s.wants("1")
		r.rule("user u\ntopic read b")
		r.sends("a", "2", qos)
		s.idle()
		require.Equal(r.t, uint64(1), r.b.Stats().Denied)
		r.rule("user u\ntopic read a")
		r.sends("a", "3", qos) // the subscription is still there
		s.wants("3")
	}))
	runChecks(t, atEachQoS("queued", "user u\ntopic read #", func(r *realm, qos wire.QoS) {
		s := r.login("u", "c")
		s.subscribe(filter("#", qos))
		s.leaves()
		for _, topic := range []string{"a", "b", "a", "b", "c"} {
			r.sends(topic, topic, qos)
		}
		r.rule("user u\ntopic read b")
		s = r.login("u", "c")
		if qos == 0 {
			s.idle()
			return
		}
		s.wants("b", "b")
		require.Equal(r.t, uint64(3), r.b.Stats().Denied)
		require.Zero(r.t, clientInfo(r.t, r.b, "c").Waiting)
	}))
	runChecks(t, atEachQoS("after a restart", "user u\ntopic read #", func(r *realm, qos wire.QoS) {
		if r.cfg.Store == nil {
			return
		}
		s := r.login("u", "c")
		s.subscribe(filter("#", qos))
		s.leaves()
		r.sends("a", "1", qos)
		r.sends("b", "2", qos)
		r.restart("user u\ntopic read b")
		s = r.login("u", "c")
		if qos > 0 {
			s.wants("2")
		}
		r.sends("a", "3", qos)
		r.sends("b", "4", qos)
		s.wants("4")
		s.leaves()
		r.restart("user u\ntopic read #") // nothing of what was taken has stayed in the store
		r.login("u", "c").idle()
	}))
	runChecks(t, revokedChecks)
	runChecks(t, unfinishedChecks)
	runChecks(t, loginChecks)
	runChecks(t, hookChecks)
}

var revokedChecks = []check{
	{name: "only a part of a filter", rules: "user u\ntopic read #", try: func(r *realm) {
		s := r.login("u", "c")
		s.subscribe(filter("#", 1))
		r.rule("user u\ntopic read #\ntopic deny secret/#")
		for _, topic := range []string{"open", "secret/x", "secret", "open/secret"} {
			r.sends(topic, topic, 1)
			r.sends(topic, topic, 0)
		}
		s.wants("open", "open", "open/secret", "open/secret")
		r.rule("user u\ntopic read #")
		r.sends("secret", "again", 0)
		s.wants("again")
	}},
	{name: "one of two filters that overlap", rules: "user u\ntopic read a/#", try: func(r *realm) {
		s := r.login("u", "c")
		s.subscribe(filter("a/#", 1), filter("a/b", 0))
		r.rule("user u\ntopic read a/b")
		r.sends("a/b", "1", 1)
		r.sends("a/c", "2", 1)
		s.wants("1")
	}},
	{name: "a message that waits behind a full window", since: wire.V5, rules: "user u\ntopic read a\ntopic read b", try: func(r *realm) {
		p := as("u", durableConnect(r.v, "c"))
		p.ReceiveMaximum = 1
		s, _ := join(r.t, r.b, r.v, p)
		s.subscribe(filter("a", 1), filter("b", 1))
		for _, topic := range []string{"a", "a", "b", "a"} {
			r.sends(topic, topic, 1)
		}
		first := receive[*wire.Publish](s)
		r.rule("user u\ntopic read b")
		s.send(&wire.Puback{PacketID: first.PacketID})
		s.wants("b")
	}},
	{name: "a long queue", rules: "user u\ntopic read #", try: func(r *realm) {
		s := r.login("u", "c")
		s.subscribe(filter("#", 1))
		s.leaves()
		want := 0
		for i := range 3 * lookLength {
			topic := "a"
			if i%3 == 0 {
				topic = "b"
				want++
			}
			require.NoError(r.t, r.b.Publish(&wire.Publish{Topic: topic, QoS: 1}))
		}
		r.rule("user u\ntopic read b")
		s = r.login("u", "c")
		for range want {
			require.Equal(r.t, "b", receiveAs(s).Topic)
		}
		s.idle()
		require.Zero(r.t, clientInfo(r.t, r.b, "c").Waiting)
	}},
	{name: "a filter that was given back", rules: "user u\ntopic read a", try: func(r *realm) {
		s := r.login("u", "c")
		s.subscribe(filter("a", 1))
		s.send(&wire.Unsubscribe{PacketID: 1, Filters: []string{"a"}})
		r.sends("x", "nobody", 1)
		receive[*wire.Unsuback](s)
		r.rule("")
		r.sends("a", "1", 1)
		s.idle()
	}},
	{name: "figures of the server", rules: "user u\ntopic read $SYS/broker/uptime", try: func(r *realm) {
		s := r.login("u", "c")
		s.subscribe(filter("$SYS/broker/uptime", 0))
		s.wants("0 seconds")
		r.rule("")
		advance(r.b.cfg.StatusInterval)
		s.idle()
	}},
	{name: "a will for somebody without right", rules: "user u\ntopic read will\n\nuser w\ntopic write will", try: func(r *realm) {
		s := r.login("u", "c")
		s.subscribe(filter("will", 1))
		dying := r.withWillOf("w", "will", 0)
		r.rule("user w\ntopic write will")
		dying.cut()
		advance(soon)
		s.idle()
	}},
	{name: "retained messages on their way", rules: "user u\ntopic read #", try: func(r *realm) {
		for _, topic := range []string{"a", "b"} {
			require.NoError(r.t, r.b.Publish(&wire.Publish{Topic: topic, Payload: []byte(topic), QoS: 1, Retain: true}))
		}
		s := r.login("u", "c")
		s.subscribe(filter("#", 1))
		first, second := receive[*wire.Publish](s), receive[*wire.Publish](s)
		require.ElementsMatch(r.t, []string{"a", "b"}, []string{first.Topic, second.Topic})
		s.cut()
		r.rule("user u\ntopic read b")
		r.login("u", "c").wants("b")
	}},
	{name: "a bad file changes nothing", rules: "user u\ntopic read a", try: func(r *realm) {
		s := r.login("u", "c")
		s.subscribe(filter("a", 0))
		r.write("nonsense")
		require.Error(r.t, r.acl.Reload())
		r.sends("a", "1", 0)
		s.wants("1")
	}},
	{name: "what the program publishes", rules: "user u\ntopic read a", try: func(r *realm) {
		local, err := r.b.Subscribe("a", 0)
		require.NoError(r.t, err)
		r.rule("")
		r.sends("a", "1", 0)
		require.Equal(r.t, "1", string((<-local.Messages()).Payload), "no hook is asked about the program")
	}},
}

// unfinishedChecks are about exchanges that the right is taken from in the middle.
var unfinishedChecks = []check{
	{name: "a QoS 1 message that is not acknowledged", rules: "user u\ntopic read a\ntopic read b", try: func(r *realm) {
		s := r.login("u", "c")
		s.subscribe(filter("a", 1), filter("b", 1))
		r.sends("a", "1", 1)
		lost := receive[*wire.Publish](s)
		s.cut()
		r.rule("user u\ntopic read b")
		s = r.login("u", "c")
		s.idle()
		s.send(&wire.Puback{PacketID: lost.PacketID}) // late, and harmless
		r.sends("b", "2", 1)
		s.wants("2")
		require.Zero(r.t, clientInfo(r.t, r.b, "c").Waiting)
	}},
	{name: "a QoS 1 message that is acknowledged", rules: "user u\ntopic read a", try: func(r *realm) {
		s := r.login("u", "c")
		s.subscribe(filter("a", 1))
		r.sends("a", "1", 1)
		p := receive[*wire.Publish](s)
		r.rule("")
		s.send(&wire.Puback{PacketID: p.PacketID})
		s.idle()
		require.Zero(r.t, clientInfo(r.t, r.b, "c").Waiting)
	}},
	{name: "a QoS 2 message before PUBREC", rules: "user u\ntopic read a\ntopic read b", try: func(r *realm) {
		s := r.login("u", "c")
		s.subscribe(filter("a", 2), filter("b", 2))
		r.sends("a", "1", 2)
		lost := receive[*wire.Publish](s)
		s.cut()
		r.rule("user u\ntopic read b")
		s = r.login("u", "c")
		// Without it, the client would take the next message under the identifier for
		// a repeat. [MQTT-4.3.3-10]
		s.want(&wire.Pubrel{PacketID: lost.PacketID})
		s.send(&wire.Pubcomp{PacketID: lost.PacketID})
		r.sends("b", "2", 2)
		s.wants("2")
		require.Zero(r.t, clientInfo(r.t, r.b, "c").Waiting)
	}},
	{name: "a QoS 2 message after PUBREC", rules: "user u\ntopic read a", try: func(r *realm) {
		s := r.login("u", "c")
		s.subscribe(filter("a", 2))
		r.sends("a", "1", 2)
		p := receive[*wire.Publish](s)
		s.send(&wire.Pubrec{PacketID: p.PacketID})
		s.want(&wire.Pubrel{PacketID: p.PacketID})
		s.cut()
		r.rule("")
		s = r.login("u", "c")
		s.want(&wire.Pubrel{PacketID: p.PacketID})
		s.send(&wire.Pubcomp{PacketID: p.PacketID})
		s.idle()
		require.Zero(r.t, clientInfo(r.t, r.b, "c").Waiting)
	}},
	{name: "a QoS 2 message, and a restart", store: true, rules: "user u\ntopic read a\ntopic read b", try: func(r *realm) {
		s := r.login("u", "c")
		s.subscribe(filter("a", 2), filter("b", 2))
		r.sends("a", "1", 2)
		r.sends("b", "2", 2)
		lost, next := receive[*wire.Publish](s), receive[*wire.Publish](s)
		s.cut()
		r.restart("user u\ntopic read b")
		s = r.login("u", "c")
		var ids []uint16
		for range 2 {
			p, err := s.next()
			require.NoError(r.t, err)
			switch p := p.(type) {
			case *wire.Pubrel:
				ids = append(ids, p.PacketID)
			case *wire.Publish:
				require.True(r.t, p.Duplicate)
				require.Equal(r.t, next.PacketID, p.PacketID)
			}
		}
		require.Equal(r.t, []uint16{lost.PacketID}, ids)
		s.idle()
	}},
}

// loginChecks are about a session that goes on under another name of its principal.
var loginChecks = []check{
	{name: "a login with fewer rights", rules: "user u.1\ntopic read #\n\nuser u.2\ntopic read b", try: func(r *realm) {
		s := r.login("u.1", "c")
		s.subscribe(filter("#", 1))
		r.sends("a", "1", 1)
		s.wants("1")
		s.leaves()
		r.sends("a", "2", 1)
		r.sends("b", "3", 1)
		s = r.login("u.2", "c")
		s.wants("3")
		r.sends("a", "4", 0)
		r.sends("b", "5", 0)
		s.wants("5")
	}},
	{name: "a login with more rights", rules: "user u.1\ntopic read #\n\nuser u.2\ntopic read b", try: func(r *realm) {
		s := r.login("u.1", "c")
		s.subscribe(filter("#", 1))
		s.cut()
		s = r.login("u.2", "c")
		r.sends("a", "1", 1)
		s.idle()
		s = r.login("u.1", "c") // takes over
		r.sends("a", "2", 1)
		s.wants("2")
	}},
	{name: "a take-over with fewer rights", rules: "user u.1\ntopic read #\n\nuser u.2\ntopic read b", try: func(r *realm) {
		s := r.login("u.1", "c")
		s.subscribe(filter("#", 1))
		r.sends("a", "1", 1)
		r.sends("b", "2", 1)
		receive[*wire.Publish](s)
		receive[*wire.Publish](s)
		next := r.login("u.2", "c")
		s.ended(wire.SessionTakenOver)
		next.wants("2")
	}},
	{name: "authenticated again with fewer rights", since: wire.V5, rules: "", try: func(r *realm) {
		require.NoError(r.t, r.b.Close())
		r.cfg.EnhancedAuthenticators = []EnhancedAuthenticator{names{}}
		r.restart("user u.1\ntopic read #\n\nuser u.2\ntopic read b")
		p := durableConnect(r.v, "c")
		p.AuthenticationMethod, p.AuthenticationData = "NAME", []byte("u.1")
		s, _ := join(r.t, r.b, r.v, p)
		s.subscribe(filter("#", 1))
		s.send(&wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: "NAME", AuthenticationData: []byte("u.2")})
		require.Equal(r.t, wire.Success, receive[*wire.Auth](s).ReasonCode)
		r.sends("a", "1", 1)
		r.sends("b", "2", 1)
		s.wants("2")
	}},
	{name: "a clean start", rules: "user u\ntopic read a", try: func(r *realm) {
		s := r.login("u", "c")
		s.subscribe(filter("a", 1))
		s.leaves()
		r.rule("user u\ntopic read b")
		p := as("u", durableConnect(r.v, "c"))
		p.CleanStart = true
		s, _ = join(r.t, r.b, r.v, p)
		s.asks([]wire.ReasonCode{wire.NotAuthorized, 1}, filter("a", 1), filter("b", 1))
		r.sends("a", "1", 1)
		r.sends("b", "2", 1)
		s.wants("2")
	}},
}

// with restarts the broker with other authorizers.
func (r *realm) with(hooks ...Authorizer) {
	r.t.Helper()
	require.NoError(r.t, r.b.Close())
	r.cfg.Authorizers = hooks
	r.start()
}

// readers is an authorizer that knows filters by heart.
type readers struct{ filters []string }

func (h *readers) Authorize(_ context.Context, a *Access) Decision {
	if a.Peer.Username == "root" || a.Action == PublishAction || slices.Contains(h.filters, a.Topic) {
		return Allow()
	}
	return Deny(wire.NotAuthorized, "")
}

// hookChecks are about authorizers that are no ACL.
var hookChecks = []check{
	{name: "a hook that is not known to have changed is asked at the next login", try: func(r *realm) {
		h := &readers{[]string{"a"}}
		r.with(h)
		s := r.login("u", "c")
		s.subscribe(filter("a", 1))
		h.filters = nil
		r.sends("a", "1", 1)
		s.wants("1")
		s.leaves()
		r.sends("a", "2", 1)
		r.login("u", "c").idle()
	}},
	{name: "a hook that is known to have changed", try: func(r *realm) {
		h := &readers{[]string{"a"}}
		r.with(h)
		s := r.login("u", "c")
		s.subscribe(filter("a", 1))
		h.filters = nil
		r.b.Reauthorize()
		r.sends("a", "1", 1)
		s.idle()
		h.filters = []string{"a"}
		r.b.Reauthorize()
		r.sends("a", "2", 1)
		s.wants("2")
	}},
	{name: "a hook that knows filters only", try: func(r *realm) {
		h := &readers{[]string{"a/#", "b/+"}}
		r.with(h)
		s := r.login("u", "c")
		s.subscribe(filter("a/#", 1), filter("b/+", 1))
		s.leaves()
		for _, topic := range []string{"a/x", "b/x"} {
			r.sends(topic, topic, 1)
		}
		h.filters = []string{"a/#"}
		s = r.login("u", "c")
		s.wants("a/x")
		r.sends("a/y", "a/y", 1)
		s.wants("a/y")
	}},
	{name: "a lower QoS", try: func(r *realm) {
		limit := wire.ExactlyOnce
		r.with(AuthorizerFunc(func(context.Context, *Access) Decision { return AllowUpTo(limit) }))
		s := r.login("u", "c")
		s.subscribe(filter("a", 2))
		limit = wire.AtMostOnce
		r.b.Reauthorize()
		r.sends("x", "nobody", 2)
		s.send(&wire.Pingreq{})
		s.want(&wire.Pingresp{})
		synctest.Wait()
		r.sends("a", "1", 2)
		require.Equal(r.t, wire.AtMostOnce, receive[*wire.Publish](s).QoS)
		limit = wire.ExactlyOnce
	}},
	{name: "a hook that takes its time holds up nobody else", try: func(r *realm) {
		h := slow{topic: "slow", wait: make(chan struct{})}
		r.with(h)
		close(h.wait)
		s, other := r.login("u", "c"), r.login("w", "d")
		s.subscribe(filter("slow", 1), filter("quick", 1))
		other.subscribe(filter("quick", 1))
		s.leaves()
		r.sends("quick", "1", 1)
		other.wants("1")
		require.NoError(r.t, r.b.Close())
		if r.cfg.Store == nil {
			r.start()
			return
		}
		h.wait = make(chan struct{})
		r.cfg.Authorizers = []Authorizer{h}
		r.start()
		s, other = r.login("u", "c"), r.login("w", "d")
		r.sends("quick", "2", 1)
		other.wants("2")
		s.send(&wire.Pingreq{})
		s.want(&wire.Pingresp{})
		s.idle()
		close(h.wait)
		s.wants("1", "2")
	}},
	{name: "a hook that is asked when the broker ends takes nothing", store: true, try: func(r *realm) {
		r.with(slow{topic: "none"})
		s := r.login("u", "c")
		s.subscribe(filter("slow", 1))
		s.leaves()
		r.sends("slow", "1", 1)
		r.with(slow{topic: "slow", wait: make(chan struct{})})
		r.login("u", "c").idle()
		r.with(slow{topic: "none"})
		r.login("u", "c").wants("1")
	}},
	{name: "a hook that panics takes nothing", try: func(r *realm) {
		broken := false
		r.with(AuthorizerFunc(func(_ context.Context, a *Access) Decision {
			if broken && a.Peer.ClientID == "c" {
				panic("broken")
			}
			return Allow()
		}))
		s := r.login("u", "c")
		s.subscribe(filter("a", 1))
		s.leaves()
		r.sends("a", "1", 1)
		broken = true
		r.login("u", "c").ended(wire.ImplementationSpecificError)
		broken = false
		advance(time.Second)
		r.login("u", "c").wants("1")
	}},
}
