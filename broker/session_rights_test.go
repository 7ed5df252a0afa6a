package broker

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// What a client may subscribe to, and what it gets when a right is taken away.

func TestRightsToSubscribe(t *testing.T) {
	runChecks(t, subscribeChecks)
	runChecks(t, sharedChecks)
}

var subscribeChecks = []check{
	{name: "a topic", rules: "user u\ntopic read a", try: func(r *realm) {
		s := r.login("u", "c")
		s.asks([]wire.ReasonCode{1, wire.NotAuthorized}, filter("a", 1), filter("b", 1))
		r.sends("a", "1", 1)
		r.sends("b", "2", 1)
		s.wants("1")
	}},
	{name: "writing is no right to read", rules: "user u\ntopic write a", try: func(r *realm) {
		s := r.login("u", "c")
		s.asks(denial, filter("a", 1))
		s.publishes(&wire.Publish{Topic: "a", QoS: 1}, wire.Success)
		s.idle()
	}},
	{name: "a filter within the rule", rules: "user u\ntopic read a/#", try: func(r *realm) {
		s := r.login("u", "c")
		s.asks([]wire.ReasonCode{0, 0, 0}, filter("a/#", 0), filter("a/+/b", 0), filter("a", 0))
		r.sends("a/x/b", "1", 0)
		s.wants("1")
	}},
	{name: "a filter beyond the rule", rules: "user u\ntopic read a/+", try: func(r *realm) {
		s := r.login("u", "c")
		no := wire.NotAuthorized
		s.asks([]wire.ReasonCode{no, no, no, no, no}, filter("#", 0), filter("+", 0), filter("a/#", 0), filter("+/b", 0), filter("a/+/+", 0))
		r.sends("a/b", "1", 0)
		s.idle()
		require.Equal(r.t, uint64(5), r.b.Stats().Denied)
	}},
	{name: "a filter that touches what is denied", rules: "user u\ntopic read #\ntopic deny secret/#", try: func(r *realm) {
		s := r.login("u", "c")
		no := wire.NotAuthorized
		s.asks([]wire.ReasonCode{no, no, no, no, 0}, filter("#", 0), filter("+/x", 0), filter("secret", 0), filter("secret/x", 0), filter("open/#", 0))
		r.sends("secret/x", "1", 0)
		r.sends("open/x", "2", 0)
		s.wants("2")
	}},
	{name: "figures of the server", rules: "user u\ntopic read #", try: func(r *realm) {
		s := r.login("u", "c")
		s.asks([]wire.ReasonCode{wire.NotAuthorized, wire.NotAuthorized, 0}, filter("$SYS/#", 0), filter("$SYS/broker/uptime", 0), filter("#", 0))
		advance(r.b.cfg.StatusInterval)
		s.idle()
	}},
	{name: "what is retained", rules: "user u\ntopic read a", try: func(r *realm) {
		require.NoError(r.t, r.b.Publish(retain("a", "1")))
		require.NoError(r.t, r.b.Publish(retain("b", "2")))
		s := r.login("u", "c")
		s.asks([]wire.ReasonCode{0, wire.NotAuthorized}, filter("a", 0), filter("+", 0))
		s.wants("1")
	}},
	{name: "a refused filter beside one that overlaps", rules: "user u\ntopic read a/b", try: func(r *realm) {
		s := r.login("u", "c")
		s.asks([]wire.ReasonCode{wire.NotAuthorized, 0}, filter("a/#", 2), filter("a/b", 0))
		r.sends("a/b", "1", 2)
		p := receive[*wire.Publish](s)
		require.Equal(r.t, wire.AtMostOnce, p.QoS)
		s.idle()
	}},
	{name: "the identifier of a refused filter", since: wire.V5, rules: "user u\ntopic read a/b", try: func(r *realm) {
		s := r.login("u", "c")
		for id, f := range []string{1: "a/b", 2: "a/#"} {
			if f == "" {
				continue
			}
			s.send(&wire.Subscribe{PacketID: 1, SubscriptionID: uint32(id), Filters: []wire.SubscribeFilter{filter(f, 0)}})
			receive[*wire.Suback](s)
		}
		r.sends("a/b", "1", 0)
		require.Equal(r.t, []uint32{1}, receive[*wire.Publish](s).Properties.SubscriptionIDs)
		s.idle()
	}},
	{name: "asked again when the right has gone", rules: "user u\ntopic read a", try: func(r *realm) {
		require.NoError(r.t, r.b.Publish(retain("a", "1")))
		s := r.login("u", "c")
		s.asks(granted(0), filter("a", 0))
		s.wants("1")
		r.rule("")
		s.asks(denial, filter("a", 0))
		r.sends("a", "2", 0)
		s.idle()
	}},
}

var sharedChecks = []check{
	{name: "a shared filter", since: wire.V5, rules: "user u\ntopic read a/#\ntopic read $share/#", try: func(r *realm) {
		s := r.login("u", "c")
		s.asks([]wire.ReasonCode{0, wire.NotAuthorized, wire.NotAuthorized}, filter("$share/g/a/+", 0), filter("$share/g/b", 0), filter("$share/g/#", 0))
		r.sends("a/x", "1", 0)
		r.sends("b", "2", 0)
		s.wants("1")
	}},
	{name: "a member that loses its right", since: wire.V5, rules: "user u\ntopic read a\n\nuser w\ntopic read a", try: func(r *realm) {
		u, w := r.login("u", "c"), r.login("w", "d")
		for _, s := range []*script{u, w} {
			s.subscribe(filter("$share/g/a", 1))
		}
		r.rule("user w\ntopic read a")
		for _, payload := range []string{"1", "2", "3", "4"} {
			r.sends("a", payload, 1)
		}
		w.wants("1", "2", "3", "4")
		u.idle()
		require.Zero(r.t, r.b.Stats().Dropped)
	}},
	{name: "what waits for a member that loses its right", since: wire.V5, rules: "user u\ntopic read a\n\nuser w\ntopic read a", try: func(r *realm) {
		u := r.login("u", "c")
		u.subscribe(filter("$share/g/a", 2))
		u.leaves()
		for qos := range wire.QoS(3) {
			r.sends("a", string('0'+rune(qos)), qos)
		}
		w := r.login("w", "d")
		w.subscribe(filter("$share/g/a", 2))
		r.rule("user w\ntopic read a")
		u = r.login("u", "c")
		u.idle()
		w.wants("1", "2")
	}},
	{name: "no member has the right", since: wire.V5, rules: "user u\ntopic read a", try: func(r *realm) {
		first, second := r.login("u", "c"), r.login("u", "d")
		first.subscribe(filter("$share/g/a", 1))
		second.subscribe(filter("$share/g/a", 1))
		r.rule("")
		for range 4 {
			r.sends("a", "x", 1)
		}
		synctest.Wait()
		first.idle()
		second.idle()
		for _, info := range r.b.Clients() {
			require.Zero(r.t, info.Waiting)
		}
		r.rule("user u\ntopic read a")
		r.sends("a", "y", 1)
		r.sends("a", "y", 1)
		first.wants("y")
		second.wants("y")
	}},
	{name: "what a session leaves to a member without right", since: wire.V5, rules: "user u\ntopic read a\n\nuser w\ntopic read a", try: func(r *realm) {
		w := r.login("w", "d")
		w.subscribe(filter("$share/g/a", 1))
		p := as("u", durableConnect(r.v, "c"))
		p.ReceiveMaximum = 1
		u, _ := join(r.t, r.b, r.v, p)
		u.subscribe(filter("$share/g/a", 1))
		for range 4 {
			r.sends("a", "x", 1)
		}
		w.wants("x", "x")
		r.rule("user u\ntopic read a")
		u.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))}) // its messages go to the others
		synctest.Wait()
		w.idle()
		for _, info := range r.b.Clients() {
			require.Zero(r.t, info.Waiting, info.Peer.ClientID)
		}
	}},
	{name: "what a session leaves to a member with right", since: wire.V5, rules: "user u\ntopic read a\n\nuser w\ntopic read a", try: func(r *realm) {
		w, x := r.login("w", "d"), r.login("w", "e")
		w.subscribe(filter("$share/g/a", 1))
		p := as("u", durableConnect(r.v, "c"))
		p.ReceiveMaximum = 1
		u, _ := join(r.t, r.b, r.v, p)
		u.subscribe(filter("$share/g/a", 1))
		x.subscribe(filter("$share/g/a", 1))
		for range 6 {
			r.sends("a", "x", 1)
		}
		w.wants("x", "x")
		x.wants("x", "x")
		r.rule("user w\ntopic read a")
		u.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
		synctest.Wait()
		receiveAs(w)
		receiveAs(x)
		w.idle()
		x.idle()
	}},
	{name: "$share before 5.0 is a topic", rules: "user u\ntopic read a", try: func(r *realm) {
		if r.v == wire.V5 {
			return
		}
		s := r.login("u", "c")
		s.asks(denial, filter("$share/g/a", 0))
		r.sends("a", "x", 0)
		s.idle()
	}},
}
