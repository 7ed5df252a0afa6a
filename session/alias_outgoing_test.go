package session

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// aliasScript returns a script whose connection allows max aliases on both sides.
func aliasScript(t *testing.T, max uint16) *script {
	t.Helper()
	s := newScript(t, wire.V5, ClientSettings{TopicAliases: max})
	s.up(keeping(wire.V5), &wire.Connack{TopicAliasMaximum: max})
	return s
}

// on sends a QoS 0 message on each topic.
func (s *script) on(topics ...string) {
	s.t.Helper()
	for _, topic := range topics {
		sent, err := s.c.Sender.SendAtMostOnce(plain(topic))
		require.NoError(s.t, err)
		if !sent { // no room
			s.take()
			sent, _ = s.c.Sender.SendAtMostOnce(plain(topic))
			require.True(s.t, sent)
		}
	}
}

// aliased is a PUBLISH with an alias, and without a topic if that is empty.
func aliased(topic string, alias uint16) *wire.Publish {
	return &wire.Publish{Topic: topic, Properties: &wire.PublishProperties{TopicAlias: alias}}
}

func plain(topic string) *wire.Publish { return &wire.Publish{Topic: topic} }

func TestATopicGetsAnAliasWhenItComesAgain(t *testing.T) {
	s := aliasScript(t, 2)
	s.on("plant/1", "plant/1", "plant/1", "plant/2", "plant/2", "plant/2", "plant/1")
	s.want(plain("plant/1"), aliased("plant/1", 1), aliased("", 1),
		plain("plant/2"), aliased("plant/2", 2), aliased("", 2), aliased("", 1))
	// Those that go through the queue take the same path.
	s.submit(&Outgoing{Publish: wire.Publish{Topic: "plant/2"}})
	s.want(aliased("", 2))
}

func TestTopicsThatSaveNothingGetNoAlias(t *testing.T) {
	s := aliasScript(t, 2)
	s.on("a/b", "a/b", "a/b", "a/bc", "a/bc", "a/bc")
	s.want(plain("a/b"), plain("a/b"), plain("a/b"), plain("a/bc"), aliased("a/bc", 1), aliased("", 1))
}

func TestAliasesKeepOtherProperties(t *testing.T) {
	s := aliasScript(t, 2)
	props := &wire.PublishProperties{ContentType: "x"}
	for range 3 {
		s.submit(&Outgoing{Publish: wire.Publish{Topic: "plant/1", QoS: 1, Properties: props}})
	}
	want := func(id uint16, topic string, alias uint16) *wire.Publish {
		return &wire.Publish{Topic: topic, QoS: 1, PacketID: id,
			Properties: &wire.PublishProperties{ContentType: "x", TopicAlias: alias}}
	}
	s.want(want(1, "plant/1", 0), want(2, "plant/1", 1), want(3, "", 1))
	require.Zero(t, props.TopicAlias)
}

func TestRepeatsHaveNoAliasAndEveryConnectionBeginsAnew(t *testing.T) {
	s := aliasScript(t, 2)
	submit := func() {
		for range 3 {
			s.submit(&Outgoing{Publish: wire.Publish{Topic: "plant/1", QoS: 1}})
		}
	}
	submit()
	s.skip()
	s.lose()
	s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true, TopicAliasMaximum: 2})
	again := func(id uint16) *wire.Publish {
		return &wire.Publish{Topic: "plant/1", QoS: 1, PacketID: id, Duplicate: true}
	}
	s.want(again(1), again(2), again(3))
	first := func(id uint16, topic string, alias uint16) *wire.Publish {
		p := &wire.Publish{Topic: topic, QoS: 1, PacketID: id}
		if alias > 0 {
			p.Properties = &wire.PublishProperties{TopicAlias: alias}
		}
		return p
	}
	submit()
	s.want(first(4, "plant/1", 0), first(5, "plant/1", 1), first(6, "", 1))
}

func TestBothSidesBoundTheAliases(t *testing.T) {
	for _, test := range []struct{ ours, theirs, used uint16 }{{3, 9, 3}, {9, 3, 3}, {0, 9, 0}, {9, 0, 0}} {
		s := newScript(t, wire.V5, ClientSettings{TopicAliases: test.ours})
		s.up(keeping(wire.V5), &wire.Connack{TopicAliasMaximum: test.theirs})
		for i := range 20 {
			s.on(fmt.Sprint("plant/", i), fmt.Sprint("plant/", i), fmt.Sprint("plant/", i))
		}
		highest := uint16(0)
		for _, p := range s.publishes() {
			if p.Properties != nil {
				highest = max(highest, p.Properties.TopicAlias)
			}
		}
		require.Equal(t, test.used, highest)
	}
}

func TestOlderVersionsHaveNoAliases(t *testing.T) {
	s := newScript(t, wire.V311, ClientSettings{TopicAliases: 9})
	s.up(keeping(wire.V311), &wire.Connack{})
	s.on("plant/1", "plant/1", "plant/1")
	s.want(plain("plant/1"), plain("plant/1"), plain("plant/1"))
}

// publishes takes what was sent, which is all PUBLISH, and resolves the aliases.
func (s *script) publishes() []wire.Publish {
	s.t.Helper()
	topics := map[uint16]string{}
	list := s.publishesRaw()
	for i := range list {
		p := &list[i]
		if p.Properties == nil || p.Properties.TopicAlias == 0 {
			continue
		}
		if p.Topic != "" {
			topics[p.Properties.TopicAlias] = p.Topic
		}
		p.Topic = topics[p.Properties.TopicAlias]
		require.NotEmpty(s.t, p.Topic, "alias that was never set")
	}
	return list
}

func TestAScanTakesNoAliasAway(t *testing.T) {
	s := aliasScript(t, 4)
	used := []string{"plant/1", "plant/2", "plant/3", "plant/4"}
	s.on(append(used, used...)...)
	s.skip()
	for i := range 100_000 {
		s.on(fmt.Sprint("once/", i))
		if i%100 == 0 {
			s.skip()
			s.on(used...)
			s.want(aliased("", 1), aliased("", 2), aliased("", 3), aliased("", 4))
		}
	}
}

func TestABusyTopicTakesTheAliasOfAnIdleOne(t *testing.T) {
	s := aliasScript(t, 2)
	s.on("plant/1", "plant/1", "plant/2", "plant/2")
	for range 2000 {
		s.on("plant/3", "plant/4")
	}
	list := s.publishes()
	last := list[len(list)-2:]
	require.NotNil(t, last[0].Properties)
	require.NotNil(t, last[1].Properties)
	require.Equal(t, "plant/3", last[0].Topic)
	require.Equal(t, "plant/4", last[1].Topic)
	s.on("plant/1")
	s.want(plain("plant/1"))
}

// With more busy topics than aliases, aliases do not go round: that would send
// more bytes than none at all.
func TestAliasesDoNotGoRound(t *testing.T) {
	s := aliasScript(t, 4)
	set, hits := 0, 0
	for i := range 20_000 {
		s.on(fmt.Sprint("plant/", i%10))
		if i%500 != 0 {
			continue
		}
		for _, p := range s.publishesRaw() {
			switch {
			case p.Topic == "":
				hits++
			case p.Properties != nil:
				set++
			}
		}
	}
	require.Less(t, set, 200)
	require.Greater(t, hits, 20_000*4/10-1000)
}

func TestManyTopicsFindTheirAliases(t *testing.T) {
	const n = 5000
	s := aliasScript(t, n)
	var topics []string
	for i := range n {
		topics = append(topics, fmt.Sprintf("plant/%d/temperature", i))
	}
	for range 4 {
		s.on(topics...)
		s.skip()
	}
	s.on(topics...)
	hits := 0
	for _, p := range s.publishesRaw() {
		if p.Topic == "" {
			hits++
		}
	}
	require.Greater(t, hits, n*95/100)
	require.LessOrEqual(t, len(s.c.link.aliases.seen), 4*8192)
}

// publishesRaw takes what was sent, as it was sent.
func (s *script) publishesRaw() (list []wire.Publish) {
	s.t.Helper()
	s.take()
	d := wire.Decoder{Version: s.v, From: wire.FromClient}
	for len(s.out) > 0 {
		h, n, err := wire.ParseHeader(s.out, s.v)
		require.NoError(s.t, err)
		var p wire.Publish
		require.NoError(s.t, d.Publish(&p, h, s.out[n:h.Size]))
		s.out = s.out[h.Size:]
		list = append(list, p)
	}
	return list
}

func TestAMessageThatFitsOnlyWithoutAnAliasIsSentWithout(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{TopicAliases: 9})
	s.up(keeping(wire.V5), &wire.Connack{TopicAliasMaximum: 9, MaximumPacketSize: 30})
	payload := make([]byte, 30-5-len("plant/1"))
	large := wire.Publish{Topic: "plant/1", Payload: payload}
	for range 3 {
		s.submit(&Outgoing{Publish: large})
	}
	s.want(&large, &large, &large)
	s.on("plant/1", "plant/1")
	s.want(aliased("plant/1", 1), aliased("", 1))
	s.submit(&Outgoing{Publish: large})
	s.want(&wire.Publish{Payload: payload, Properties: &wire.PublishProperties{TopicAlias: 1}})
}

func TestAliasesOfTheCallerAndAutomaticOnesDoNotMix(t *testing.T) {
	s := aliasScript(t, 2)
	for _, topic := range []string{"plant/1", "p", ""} {
		o := &Outgoing{Publish: *aliased(topic, 1)}
		s.submit(o)
		s.wantCompleted(o)
		require.ErrorContains(t, o.Result().Err, "chosen automatically")
		sent, err := s.c.Sender.SendAtMostOnce(aliased(topic, 1))
		require.False(t, sent)
		require.ErrorContains(t, err, "chosen automatically")
		s.wantIdle()
	}
	s = newScript(t, wire.V5, ClientSettings{})
	s.up(keeping(wire.V5), &wire.Connack{TopicAliasMaximum: 2})
	s.on("plant/1", "plant/1")
	s.submit(&Outgoing{Publish: *aliased("plant/1", 1)})
	s.submit(&Outgoing{Publish: *aliased("", 1)})
	s.want(plain("plant/1"), plain("plant/1"), aliased("plant/1", 1), aliased("", 1))
}
