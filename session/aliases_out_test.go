package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// aliasLink is an open connection whose messages are decoded again.
type aliasLink struct {
	t      *testing.T
	link   *Link
	sender *Sender
}

func newAliasLink(t *testing.T, aliases int, limits Limits) *aliasLink {
	l := &aliasLink{t: t, link: new(Link)}
	l.sender = NewSender(l.link, 0)
	l.open(aliases, limits, false)
	return l
}

func (l *aliasLink) open(aliases int, limits Limits, resumed bool) {
	limits.TopicAliasMaximum = uint16(max(aliases, 0))
	l.link.Open(wire.V5, limits)
	l.link.UseAliases(aliases)
	l.sender.Start(resumed, time.Time{})
}

// sent returns topic and alias of each message that waits to be written.
func (l *aliasLink) sent() (messages []string) {
	l.t.Helper()
	b := l.link.Take(nil)
	d := wire.Decoder{Version: wire.V5}
	for len(b) > 0 {
		h, n, err := wire.ParseHeader(b, wire.V5)
		require.NoError(l.t, err)
		p, err := d.Decode(h, b[n:h.Size])
		require.NoError(l.t, err)
		b = b[h.Size:]
		m := p.(*wire.Publish)
		alias := uint16(0)
		if m.Properties != nil {
			alias = m.Properties.TopicAlias
		}
		messages = append(messages, fmt.Sprint(m.Topic, ":", alias))
	}
	return messages
}

func (l *aliasLink) send(topic string, qos wire.QoS) {
	l.t.Helper()
	if qos == wire.AtMostOnce {
		sent, err := l.sender.SendAtMostOnce(&wire.Publish{Topic: topic})
		require.NoError(l.t, err)
		require.True(l.t, sent)
		return
	}
	l.sender.Submit(&Outgoing{Publish: wire.Publish{Topic: topic, QoS: qos}}, time.Time{})
}

func TestTopicThatComesAgainGetsAnAlias(t *testing.T) {
	for qos := range wire.QoS(3) {
		l := newAliasLink(t, 2, NoLimits())
		for range 4 {
			l.send("topics/one", qos)
		}
		require.Equal(t, []string{"topics/one:0", "topics/one:1", ":1", ":1"}, l.sent())
	}
}

func TestShortTopicsAndPeersWithoutAliasesGetNone(t *testing.T) {
	l := newAliasLink(t, 2, NoLimits())
	for range 3 {
		l.send("short", 0)
	}
	require.Equal(t, []string{"short:0", "short:0", "short:0"}, l.sent())
	l = newAliasLink(t, 0, NoLimits())
	for range 3 {
		l.send("long/enough", 0)
	}
	require.Equal(t, []string{"long/enough:0", "long/enough:0", "long/enough:0"}, l.sent())
}

func TestLongRowsOfTopicsDisplaceNothing(t *testing.T) {
	l := newAliasLink(t, 2, NoLimits())
	for range 3 {
		l.send("topics/one", 0)
		l.send("topics/two", 0)
	}
	l.sent()
	for i := range 10_000 {
		l.send(fmt.Sprint("scanned/", i), 0)
	}
	l.sent()
	l.send("topics/one", 0)
	l.send("topics/two", 0)
	require.Equal(t, []string{":1", ":2"}, l.sent())
}

func TestAliasGoesToTheTopicThatIsUsed(t *testing.T) {
	l := newAliasLink(t, 1, NoLimits())
	for range 3 {
		l.send("topics/old", 0)
	}
	l.sent()
	for range 10 {
		l.send("topics/new", 0)
	}
	got := l.sent()
	require.Contains(t, got, "topics/new:1") // the topic is said again with the alias
	require.Equal(t, ":1", got[len(got)-1])
	l.send("topics/old", 0)
	require.Equal(t, []string{"topics/old:0"}, l.sent())
}

func TestRepeatsHaveTheirTopic(t *testing.T) {
	l := newAliasLink(t, 2, NoLimits())
	for range 3 {
		l.send("topics/one", 1)
	}
	require.Equal(t, []string{"topics/one:0", "topics/one:1", ":1"}, l.sent())
	l.sender.Stop(false)
	l.link.Close()
	l.open(2, NoLimits(), true)
	// A connection knows nothing of the aliases of the last one.
	require.Equal(t, []string{"topics/one:0", "topics/one:0", "topics/one:0"}, l.sent())
	l.send("topics/one", 1)
	l.send("topics/one", 1)
	require.Equal(t, []string{"topics/one:0", "topics/one:1"}, l.sent())
}

func TestAliasThatDoesNotFitIsLeftOut(t *testing.T) {
	limits := NoLimits()
	p := wire.Publish{Topic: "topics/one"}
	limits.MaximumPacketSize = uint32(p.Size(wire.V5))
	l := newAliasLink(t, 2, limits)
	for range 3 {
		l.send("topics/one", 0)
	}
	require.Equal(t, []string{"topics/one:0", "topics/one:0", "topics/one:0"}, l.sent())
}

func TestMessageIsNotChangedByItsAlias(t *testing.T) {
	l := newAliasLink(t, 2, NoLimits())
	properties := &wire.PublishProperties{ContentType: "x"}
	p := &wire.Publish{Topic: "topics/one", Properties: properties}
	for range 3 {
		_, err := l.sender.SendAtMostOnce(p)
		require.NoError(t, err)
	}
	require.Equal(t, &wire.Publish{Topic: "topics/one", Properties: &wire.PublishProperties{ContentType: "x"}}, p)
	require.Equal(t, []string{"topics/one:0", "topics/one:1", ":1"}, l.sent())
	require.Zero(t, testing.AllocsPerRun(100, func() {
		l.link.buf = l.link.buf[:0]
		_, _ = l.sender.SendAtMostOnce(p)
	}))
}

func TestSendingAtMostOnceTakesNoMemory(t *testing.T) {
	for _, aliases := range []int{0, 2} {
		l := newAliasLink(t, aliases, NoLimits())
		l.send("topics/one", 0)
		l.send("topics/one", 0)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			l.link.buf = l.link.buf[:0]
			p := wire.Publish{Topic: "topics/one"}
			_, _ = l.sender.SendAtMostOnce(&p)
		}))
	}
}
