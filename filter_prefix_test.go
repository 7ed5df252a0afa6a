package mqtt_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// TestPrefixOfAFilterIsNotPartOfTheTopic delivers what servers with such prefixes
// send: the topic without it, and no subscription identifier.
func TestPrefixOfAFilterIsNotPartOfTheTopic(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		for filter, topics := range map[string][]string{
			"$queue/t":        {"t", "$queue/t"},
			"$queue/#":        {"t", "a/b", "$queue/a"},
			"$exclusive/+/b":  {"a/b"},
			"$oshare/group/a": {"a"},
		} {
			srv := mqtttest.NewServer(t, v)
			client, conn := open(t, srv, quiet(srv))
			sub := subscribe(t, client, conn, filter, 1)
			other := subscribe(t, client, conn, "other", 1)
			for i, topic := range topics {
				conn.Send(to(topic, pub(uint16(i+1), 1, topic)))
			}
			wantMessages(t, sub, topics...)
			wantMessages(t, other)
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
				cfg := quiet(srv)
				cfg.FilterPrefixes = test.prefixes
				client, conn := open(t, srv, cfg)
				sub := subscribe(t, client, conn, test.filter, 1)
				conn.Send(pub(0, 0, "x"))
				if test.arrives {
					wantMessages(t, sub, "x")
				} else {
					wantMessages(t, sub)
				}
			})
		})
	}
}

// TestUnclaimedMessagesWaitForAFilterWithAPrefix resumes a session.
func TestUnclaimedMessagesWaitForAFilterWithAPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.Resume = true
		client, conn := openWith(t, srv, cfg, resumed())
		conn.Send(pub(1, 1, "x"))
		wantMessages(t, subscribe(t, client, conn, "$queue/t", 1), "x")
	})
}

func TestBadFilterPrefixIsRefused(t *testing.T) {
	for _, prefix := range []string{"", "queue/", "$queue", "$queue/#/", "$a+/", "$\xff/"} {
		_, err := mqtt.Connect(t.Context(), "mqtt://x", mqtt.Config{FilterPrefixes: []string{prefix}})
		require.ErrorIs(t, err, mqtt.ErrInvalid, "%q", prefix)
		require.ErrorContains(t, err, "FilterPrefixes")
	}
}
