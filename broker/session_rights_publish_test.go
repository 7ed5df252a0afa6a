package broker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// What a client may publish, also by will, alias, response and retained message.

func atEachQoS(name, rules string, try func(r *realm, qos wire.QoS)) (checks []check) {
	for qos := range wire.QoS(3) {
		checks = append(checks, check{name: fmt.Sprint(name, ", QoS ", qos), rules: rules, try: func(r *realm) { try(r, qos) }})
	}
	return checks
}

func TestRightsToPublish(t *testing.T) {
	runChecks(t, atEachQoS("allowed", "user u\ntopic write ok", func(r *realm, qos wire.QoS) {
		r.watches("#")
		r.login("u", "c").publishes(&wire.Publish{Topic: "ok", Payload: []byte("x"), QoS: qos}, wire.Success)
		r.root.wants("x")
	}))
	runChecks(t, atEachQoS("refused", "user u\ntopic write ok", func(r *realm, qos wire.QoS) {
		r.watches("#")
		s := r.login("u", "c")
		s.publishes(&wire.Publish{Topic: "no", Payload: []byte("x"), QoS: qos, Retain: true}, wire.NotAuthorized)
		s.publishes(&wire.Publish{Topic: "ok", Payload: []byte("y"), QoS: qos}, wire.Success) // the connection goes on
		r.root.wants("y")
		require.Zero(r.t, r.b.Stats().Retained)
		require.Equal(r.t, uint64(1), r.b.Stats().Denied)
	}))
	runChecks(t, publishChecks)
	runChecks(t, nameChecks)
	runChecks(t, aliasChecks)
	runChecks(t, willChecks)
}

var publishChecks = []check{
	{name: "deny goes before all that allows", rules: "user u\ntopic write a/#\ntopic deny a/b", try: func(r *realm) {
		r.watches("#")
		s := r.login("u", "c")
		r.may(s, "a/c", true)
		r.may(s, "a/b", false)
	}},
	{name: "reading is no right to write", rules: "user u\ntopic read a", try: func(r *realm) {
		r.watches("#")
		r.may(r.login("u", "c"), "a", false)
	}},
	{name: "the rights of another user", rules: "user other\ntopic write a", try: func(r *realm) {
		r.watches("#")
		r.may(r.login("u", "c"), "a", false)
		r.may(r.login("", "d"), "a", false)
	}},
	{name: "clearing what is retained", rules: "user u\ntopic read a", try: func(r *realm) {
		require.NoError(r.t, r.b.Publish(retain("a", "kept")))
		s := r.login("u", "c")
		s.publishes(&wire.Publish{Topic: "a", QoS: 1, Retain: true}, wire.NotAuthorized)
		s.subscribe(filter("a", 0))
		s.wants("kept")
	}},
	{name: "topics of the server", rules: "user u\ntopic readwrite #\ntopic readwrite $SYS/#\ntopic readwrite $x", try: func(r *realm) {
		r.watches("$SYS/broker/x")
		r.watches("$x")
		s := r.login("u", "c")
		r.may(s, "$SYS/broker/x", false)
		r.may(s, "$x", false)
	}},
	{name: "the right is taken between two messages", rules: "user u\ntopic write a", try: func(r *realm) {
		r.watches("#")
		s := r.login("u", "c")
		r.may(s, "a", true)
		r.rule("user u\ntopic read a")
		r.may(s, "a", false)
		r.rule("user u\ntopic write a")
		r.may(s, "a", true)
	}},
	{name: "a refused QoS 2 identifier is free", since: wire.V5, rules: "user u\ntopic write a", try: func(r *realm) {
		r.watches("#")
		s := r.login("u", "c")
		p := &wire.Publish{Topic: "b", QoS: 2, PacketID: 9, Payload: []byte("1")}
		s.send(p)
		require.Equal(r.t, wire.NotAuthorized, receive[*wire.Pubrec](s).ReasonCode)
		p.Duplicate = true
		s.send(p)
		require.Equal(r.t, wire.NotAuthorized, receive[*wire.Pubrec](s).ReasonCode)
		s.send(&wire.Publish{Topic: "a", QoS: 2, PacketID: 9, Payload: []byte("2")})
		require.Equal(r.t, wire.Success, receive[*wire.Pubrec](s).ReasonCode)
		r.root.wants("2")
	}},
	{name: "a QoS 2 message that was accepted is completed", rules: "user u\ntopic write a", try: func(r *realm) {
		r.watches("#")
		s := r.login("u", "c")
		s.send(&wire.Publish{Topic: "a", QoS: 2, PacketID: 9, Payload: []byte("1")})
		require.False(r.t, receive[*wire.Pubrec](s).ReasonCode.Failed())
		r.rule("")
		s.send(&wire.Pubrel{PacketID: 9})
		s.want(&wire.Pubcomp{PacketID: 9})
		r.root.wants("1")
	}},
	{name: "a response topic gives nobody a right", since: wire.V5, rules: "user asker\ntopic write ask\n\nuser answerer\ntopic read ask\ntopic write answers/1", try: func(r *realm) {
		r.watches("#")
		answerer := r.login("answerer", "answerer")
		answerer.subscribe(filter("ask", 1))
		asker := r.login("asker", "asker")
		for _, topic := range []string{"answers/1", "secret"} {
			asker.publishes(&wire.Publish{Topic: "ask", QoS: 1, Properties: &wire.PublishProperties{ResponseTopic: topic}}, wire.Success)
			require.Equal(r.t, topic, receiveAs(answerer).Properties.ResponseTopic)
			receiveAs(r.root)
		}
		r.may(answerer, "answers/1", true)
		r.may(answerer, "secret", false)
		asker.asks(denial, filter("answers/1", 0))
	}},
	{name: "response information is no right", since: wire.V5, rules: "", try: func(r *realm) {
		require.NoError(r.t, r.b.Close())
		r.cfg.ResponseInformation = "answers/%c"
		r.restart("")
		p := as("u", durableConnect(r.v, "c"))
		p.RequestResponseInformation = true
		s, ack := join(r.t, r.b, r.v, p)
		require.Equal(r.t, "answers/c", ack.ResponseInformation)
		s.asks(denial, filter(ack.ResponseInformation, 0))
		r.watches("#")
		r.may(s, ack.ResponseInformation, false)
	}},
}

// ownRules are for each client's own topics.
const ownRules = "pattern readwrite of/%c\npattern readwrite by/%u"

var nameChecks = []check{
	{name: "own identifier and user name", rules: ownRules, try: func(r *realm) {
		r.watches("#")
		s := r.login("u", "c")
		r.may(s, "of/c", true)
		r.may(s, "by/u", true)
		for _, other := range []string{"of/d", "by/v", "of/u", "by/c", "of", "of/c/x", "of/%c", "by/%u"} {
			r.may(s, other, false)
		}
		s.asks(denial, filter("of/+", 0))
		s.asks(denial, filter("of/#", 0))
	}},
	{name: "names that are wildcards", rules: ownRules, try: func(r *realm) {
		r.watches("#")
		for _, name := range []string{"+", "#", "a/b", "%c", "$SYS"} {
			s := r.login(name, name)
			r.may(s, "of/d", false)
			r.may(s, "by/d", false)
			s.asks([]wire.ReasonCode{wire.NotAuthorized, wire.NotAuthorized}, filter("of/d", 0), filter("by/#", 0))
			s.cut()
		}
	}},
	{name: "nobody has an empty name", rules: ownRules, try: func(r *realm) {
		r.watches("#")
		s := r.login("", "c")
		r.may(s, "by/", false)
		r.may(s, "by/c", false)
		r.may(s, "of/c", true)
	}},
	{name: "an assigned identifier", since: wire.V5, rules: ownRules, try: func(r *realm) {
		r.watches("#")
		s, ack := join(r.t, r.b, r.v, as("u", &wire.Connect{CleanStart: true}))
		r.may(s, "of/"+ack.AssignedClientID, true)
		r.may(s, "of/c", false)
		r.may(s, "of/", false)
	}},
	{name: "the identifier of somebody else", rules: ownRules, try: func(r *realm) {
		r.watches("#")
		alice := r.login("alice", "c")
		for _, clean := range []bool{false, true} {
			p := as("mallory", durableConnect(r.v, "c"))
			p.CleanStart, p.Will = clean, &wire.Will{Topic: "of/c", Payload: []byte("forged")}
			refusedAs(r.t, r.b, r.v, p, wire.NotAuthorized)
		}
		advance(soon)
		r.root.idle()
		r.may(alice, "of/c", true)
		alice.leaves()
		refusedAs(r.t, r.b, r.v, as("mallory", durableConnect(r.v, "c")), wire.NotAuthorized)
		r.may(r.login("alice", "c"), "of/c", true)
	}},
	{name: "a released identifier", rules: ownRules, try: func(r *realm) {
		r.login("alice", "c").leaves()
		require.True(r.t, r.b.Release("c"))
		r.watches("#")
		r.may(r.login("bob", "c"), "of/c", true)
		refusedAs(r.t, r.b, r.v, as("alice", durableConnect(r.v, "c")), wire.NotAuthorized)
	}},
	{name: "authenticated again as somebody else", since: wire.V5, rules: ownRules, try: func(r *realm) {
		require.NoError(r.t, r.b.Close())
		r.cfg.EnhancedAuthenticators = []EnhancedAuthenticator{names{}}
		r.restart(ownRules)
		p := durableConnect(r.v, "c")
		p.AuthenticationMethod, p.AuthenticationData = "NAME", []byte("alice")
		s, _ := join(r.t, r.b, r.v, p)
		r.watches("#")
		r.may(s, "by/alice", true)
		s.send(
			&wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: "NAME", AuthenticationData: []byte("bob")},
			&wire.Publish{Topic: "by/bob", QoS: 1, PacketID: 1},
		)
		s.ended(wire.NotAuthorized)
		r.root.idle()
	}},
}

// aliased is a message with a topic alias; an empty topic uses it.
func aliased(topic string, alias uint16, payload string) *wire.Publish {
	return &wire.Publish{Topic: topic, QoS: 1, Payload: []byte(payload), Properties: &wire.PublishProperties{TopicAlias: alias}}
}

var aliasChecks = []check{
	{name: "an alias of a topic that is refused", since: wire.V5, rules: "user u\ntopic write a", try: func(r *realm) {
		r.watches("#")
		s := r.login("u", "c")
		s.publishes(aliased("no", 1, "1"), wire.NotAuthorized)
		s.publishes(aliased("", 1, "2"), wire.NotAuthorized)
		s.publishes(aliased("a", 1, "3"), wire.Success)
		s.publishes(aliased("", 1, "4"), wire.Success)
		r.root.wants("3", "4")
	}},
	{name: "an alias that changes its topic", since: wire.V5, rules: "user u\ntopic write a", try: func(r *realm) {
		r.watches("#")
		s := r.login("u", "c")
		s.publishes(aliased("a", 1, "1"), wire.Success)
		s.publishes(aliased("no", 1, "2"), wire.NotAuthorized)
		s.publishes(aliased("", 1, "3"), wire.NotAuthorized)
		r.root.wants("1")
	}},
	{name: "an alias whose right is taken", since: wire.V5, rules: "user u\ntopic write a", try: func(r *realm) {
		r.watches("#")
		s := r.login("u", "c")
		s.publishes(aliased("a", 1, "1"), wire.Success)
		r.rule("")
		s.publishes(aliased("", 1, "2"), wire.NotAuthorized)
		r.root.wants("1")
	}},
	{name: "an alias of the server towards somebody without right", since: wire.V5, rules: "user u\ntopic read long/topic/of/somebody", try: func(r *realm) {
		p := as("u", durableConnect(r.v, "c"))
		p.TopicAliasMaximum = 10
		s, _ := join(r.t, r.b, r.v, p)
		s.subscribe(filter("long/topic/of/somebody", 0))
		for range 3 {
			r.sends("long/topic/of/somebody", "x", 0)
		}
		s.wants("x", "x", "x")
		r.rule("")
		r.sends("long/topic/of/somebody", "x", 0)
		s.idle()
	}},
}

// withWillOf connects a client with a will.
func (r *realm) withWillOf(user, topic string, delay uint32) *script {
	r.t.Helper()
	p := as(user, durableConnect(r.v, "dying"))
	p.Will = &wire.Will{Topic: topic, Payload: []byte("gone"), Retain: true}
	if r.v == wire.V5 {
		p.Will.DelayInterval = delay
	}
	s, _ := join(r.t, r.b, r.v, p)
	return s
}

var willChecks = []check{
	{name: "a will that is allowed", rules: "user u\ntopic write will", try: func(r *realm) {
		r.watches("#")
		r.withWillOf("u", "will", 0).cut()
		r.root.wants("gone")
		require.Equal(r.t, 1, r.b.Stats().Retained)
	}},
	{name: "a will that is refused", rules: "user u\ntopic write other", try: func(r *realm) {
		r.watches("#")
		r.withWillOf("u", "will", 0).cut() // the client may connect: the right is asked for when it is due
		advance(soon)
		r.root.idle()
		require.Zero(r.t, r.b.Stats().Retained)
		require.Equal(r.t, uint64(1), r.b.Stats().Denied)
	}},
	{name: "a will on a topic of the server", rules: "user u\ntopic write #\ntopic write $SYS/#", try: func(r *realm) {
		r.watches("$SYS/x")
		r.withWillOf("u", "$SYS/x", 0).cut()
		advance(soon)
		r.root.idle()
		require.Zero(r.t, r.b.Stats().Retained)
	}},
	{name: "a right that a will has lost", rules: "user u\ntopic write will", try: func(r *realm) {
		r.watches("#")
		s := r.withWillOf("u", "will", 0)
		r.rule("")
		s.cut()
		advance(soon)
		r.root.idle()
	}},
	{name: "a right that a will has won", rules: "", try: func(r *realm) {
		r.watches("#")
		s := r.withWillOf("u", "will", 0)
		r.rule("user u\ntopic write will")
		s.cut()
		r.root.wants("gone")
	}},
	{name: "a right that a delayed will has lost", since: wire.V5, rules: "user u\ntopic write will", try: func(r *realm) {
		r.watches("#")
		r.withWillOf("u", "will", 10).cut()
		r.rule("")
		advance(11 * time.Second)
		r.root.idle()
	}},
	{name: "a will of the own identifier only", rules: "pattern write of/%c", try: func(r *realm) {
		r.watches("#")
		r.withWillOf("u", "of/dying", 0).cut()
		r.root.wants("gone")
		r.withWillOf("u", "of/somebody", 0).cut()
		advance(soon)
		r.root.idle()
	}},
	{name: "a will after a restart", since: wire.V5, store: true, rules: "user u\ntopic write will", try: func(r *realm) {
		r.withWillOf("u", "will", 10).cut()
		r.restart("user u\ntopic write will")
		r.watches("#")
		advance(11 * time.Second)
		r.root.wants("gone")
	}},
	{name: "a will after a restart with other rules", since: wire.V5, store: true, rules: "user u\ntopic write will", try: func(r *realm) {
		r.withWillOf("u", "will", 10).cut()
		r.restart("")
		r.watches("#")
		advance(11 * time.Second)
		r.root.idle()
		require.Zero(r.t, r.b.Stats().Retained)
	}},
	{name: "the will of a client that is sent away", rules: "user u\ntopic write will", try: func(r *realm) {
		r.watches("#")
		s := r.withWillOf("u", "will", 0)
		r.rule("")
		require.True(r.t, r.b.Disconnect("dying", wire.AdministrativeAction))
		s.ended(wire.AdministrativeAction)
		synctest.Wait()
		r.root.idle()
	}},
}
