package broker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

const aclText = `
# for clients without user name
topic read news/#
topic write inbox

user alice
topic home/+/light
topic read #
topic deny home/cellar/#
topic deny secret

user bob
topic read name with spaces/x
pattern write devices/%c/up/#
pattern readwrite users/%u
pattern both-%u-%c/x
pattern deny users/mallory
`

func parse(t *testing.T, text string) *ACL {
	t.Helper()
	a, err := ParseACL(strings.NewReader(text))
	require.NoError(t, err)
	return a
}

func (a *ACL) allows(action Action, user, id, topic string) bool {
	d := a.Authorize(context.Background(), &Access{Peer: &Peer{Username: user, ClientID: id}, Action: action, Topic: topic})
	return d == Allow()
}

func TestACLDecides(t *testing.T) {
	acl := parse(t, aclText)
	for _, test := range []struct {
		user, id, topic    string
		publish, subscribe bool
	}{
		{"", "c", "news", false, true},
		{"", "c", "news/a", false, true},
		{"", "c", "news/#", false, true},
		{"", "c", "news/+/a", false, true},
		{"", "c", "#", false, false},
		{"", "c", "+", false, false},
		{"", "c", "news2", false, false},
		{"", "c", "inbox", true, false},
		{"", "c", "home/a/light", false, false},
		{"carol", "c", "news", false, false}, // the first rules are not for users

		{"alice", "c", "home/a/light", true, true},
		{"alice", "c", "home/cellar/light", false, false},
		{"alice", "c", "home/cellar", false, false},
		{"alice", "c", "home/+/light", true, false}, // the cellar is among them
		{"alice", "c", "home/#", false, false},
		{"alice", "c", "#", false, false},
		{"alice", "c", "+", false, false}, // secret is among them
		{"alice", "c", "+/#", false, false},
		{"alice", "c", "other/#", false, true},
		{"alice", "c", "+/+/heat", false, false},
		{"alice", "c", "attic/+/light", false, true},
		{"alice", "c", "secret", false, false},
		{"alice", "c", "secret/#", false, false},
		{"alice", "c", "secret/x", false, true},
		{"alice", "c", "$SYS/x", false, false}, // not for # [MQTT-4.7.2-1]
		{"alice", "c", "$SYS/#", false, false},

		{"bob", "c", "name with spaces/x", false, true},
		{"bob", "c", "devices/c/up", true, false},
		{"bob", "c", "devices/c/up/x/y", true, false},
		{"bob", "c", "devices/d/up", false, false},
		{"bob", "c", "users/bob", true, true},
		{"bob", "c", "users/alice", false, false},
		{"bob", "c", "both-bob-c/x", true, true},
		{"mallory", "c", "users/mallory", false, false},
	} {
		require.Equal(t, test.publish, acl.allows(PublishAction, test.user, test.id, test.topic), "%s publishes to %s", test.user, test.topic)
		require.Equal(t, test.subscribe, acl.allows(SubscribeAction, test.user, test.id, test.topic), "%s subscribes to %s", test.user, test.topic)
	}
}

func TestNamesOfClientsAreNoPatterns(t *testing.T) {
	acl := parse(t, "pattern own/%c/#\npattern user/%u\npattern x-%c")
	for _, name := range []string{"+", "#", "a/b", "", "/", "+/x", "%u", "%c"} {
		for _, topic := range []string{"own/a", "own/b/c", "own/a/b", "own/+", "own/#", "own/+/#", "own/+/x", "own//", "own/", "own", "user/a", "user/+", "user/#", "user/", "#", "x-a", "x-", "x-a/b", "own/a/b/c"} {
			if topic == "own/#" || strings.HasPrefix(name, "%") {
				continue
			}
			if !match.HasWildcard(topic) {
				require.False(t, acl.allows(PublishAction, name, name, topic), "%q publishes to %s", name, topic)
			}
			require.False(t, acl.allows(SubscribeAction, name, name, topic), "%q subscribes to %s", name, topic)
		}
		require.False(t, acl.allows(SubscribeAction, name, name, "own/#"), name)
	}
	require.True(t, acl.allows(PublishAction, "%c", "%u", "own/%u/x"))
	require.True(t, acl.allows(PublishAction, "%c", "%u", "user/%c"))
	require.False(t, acl.allows(PublishAction, "%c", "%u", "user/%u"))
}

// FuzzACL compares what rules say about filters with what they say about topics.
func FuzzACL(f *testing.F) {
	for _, seed := range [][3]string{
		{"a/#", "a", "a"}, {"a/+", "a/#", "a/b"}, {"+/b", "a/+", "a/b"}, {"#", "#", "$SYS/x"}, {"$SYS/#", "#", "$SYS/x"},
		{"+", "$x", "$x"}, {"a/b/#", "a/#", "a/b"}, {"+/+", "+", "/"}, {"#", "+/#", "a"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, rule, filter, topic string) {
		if match.ValidatePlainFilter(rule) != nil || match.ValidatePlainFilter(filter) != nil || match.ValidateTopic(topic) != nil {
			return
		}
		r := aclRule{levels: strings.Split(rule, "/")}
		levels, wanted := strings.Split(topic, "/"), strings.Split(filter, "/")
		if matches := match.MatchPlain(rule, topic); matches != r.covers(levels, false, nil) || matches != r.overlaps(levels, false, nil) {
			t.Fatalf("rule %q and topic %q", rule, topic)
		}
		if !match.MatchPlain(filter, topic) {
			return
		}
		// The topic is one that the filter brings.
		if r.covers(wanted, true, nil) && !match.MatchPlain(rule, topic) {
			t.Fatalf("rule %q covers filter %q, but not its topic %q", rule, filter, topic)
		}
		if match.MatchPlain(rule, topic) && !r.overlaps(wanted, true, nil) {
			t.Fatalf("rule %q does not touch filter %q, but its topic %q", rule, filter, topic)
		}
	})
}

func TestBadACLs(t *testing.T) {
	for text, want := range map[string]string{
		"topic":           `line 1: "topic" needs more`,
		"\nuser":          `line 2: "user" needs more`,
		"rule x":          `line 1: "rule" is none of user, topic and pattern`,
		"topic a/#/b":     "line 1",
		"topic read":      "", // a topic called read
		"pattern write +": "",
	} {
		_, err := ParseACL(strings.NewReader(text))
		if want == "" {
			require.NoError(t, err, text)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}

func TestACLFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acl")
	_, err := LoadACL(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("topic a"), 0o600))
	acl, err := LoadACL(path)
	require.NoError(t, err)
	require.True(t, acl.allows(PublishAction, "", "c", "a"))
	require.NoError(t, os.WriteFile(path, []byte("topic b"), 0o600))
	require.NoError(t, acl.Reload())
	require.False(t, acl.allows(PublishAction, "", "c", "a"))
	require.NoError(t, os.WriteFile(path, []byte("nonsense"), 0o600))
	require.ErrorContains(t, acl.Reload(), "line 1")
	require.True(t, acl.allows(PublishAction, "", "c", "b"))
}

func TestACLOverTheWire(t *testing.T) {
	run(t, Config{Authorizers: []Authorizer{parse(t, "pattern read to/%c\npattern write from/%c")}}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter("to/c", 0), filter("to/d", 0), filter("to/+", 0), filter("$share/g/to/c", 0)}})
		no := wire.NotAuthorized
		s.want(&wire.Suback{PacketID: 1, ReasonCodes: []wire.ReasonCode{0, no, no, 0}})
		s.send(&wire.Publish{Topic: "from/c", QoS: 1, PacketID: 1}, &wire.Publish{Topic: "from/d", QoS: 1, PacketID: 2})
		s.want(&wire.Puback{PacketID: 1, ReasonCode: wire.NoMatchingSubscribers}, &wire.Puback{PacketID: 2, ReasonCode: no})
	})
}
