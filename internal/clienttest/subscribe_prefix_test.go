package clienttest

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// TestPrefixOfAFilterIsNotPartOfTheTopic delivers what servers with such prefixes
// send: the topic without it, and no subscription identifier.
func TestPrefixOfAFilterIsNotPartOfTheTopic(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		for filter, topics := range map[string][]string{
			"$queue/t":        {"t", "$queue/t"},
			"$queue/#":        {"t", "a/b", "$queue/a"},
			"$exclusive/+/b":  {"a/b"},
			"$oshare/group/a": {"a"},
		} {
			srv := mqtttest.NewServer(t, v)
			client, conn := Open(t, srv, Quiet(srv))
			sub := Subscribe(t, client, conn, filter, 1)
			other := Subscribe(t, client, conn, "other", 1)
			for i, topic := range topics {
				conn.Send(To(topic, Pub(uint16(i+1), 1, topic)))
			}
			WantMessages(t, sub, topics...)
			WantMessages(t, other)
			client.Close()
		}
	})
}

func TestPrefixesOfFiltersCanBeChosen(t *testing.T) {
	for name, test := range map[string]struct {
		prefixes []string
		filter   string
		arrives  bool
	}{
		"none":             {[]string{}, "$queue/t", false},
		"own":              {[]string{"$mine/+/x/"}, "$mine/1/x/t", true},
		"own, other level": {[]string{"$mine/+/x/"}, "$mine/1/y/t", false},
		"only the prefix":  {[]string{"$mine/"}, "$mine/", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V311)
				cfg := Quiet(srv)
				cfg.FilterPrefixes = test.prefixes
				client, conn := Open(t, srv, cfg)
				sub := Subscribe(t, client, conn, test.filter, 1)
				conn.Send(Pub(0, 0, "x"))
				if test.arrives {
					WantMessages(t, sub, "x")
				} else {
					WantMessages(t, sub)
				}
			})
		})
	}
}

// TestUnclaimedMessagesWaitForAFilterWithAPrefix resumes a session.
func TestUnclaimedMessagesWaitForAFilterWithAPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Resume = true
		client, conn := OpenWith(t, srv, cfg, Resumed())
		conn.Send(Pub(1, 1, "x"))
		WantMessages(t, Subscribe(t, client, conn, "$queue/t", 1), "x")
	})
}

func TestBadFilterPrefixIsRefused(t *testing.T) {
	for _, prefix := range []string{"", "queue/", "$queue", "$queue/#/", "$a+/", "$\xff/"} {
		_, err := mqtt.Connect(t.Context(), "mqtt://x", mqtt.Config{FilterPrefixes: []string{prefix}})
		require.ErrorIs(t, err, mqtt.ErrInvalid, "%q", prefix)
		require.ErrorContains(t, err, "FilterPrefixes")
	}
}
