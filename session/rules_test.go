package session

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// little is what a server announces that can do as little as possible.
var little = Limits{NoRetain: true, NoWildcards: true, NoShared: true, NoSubscriptionIDs: true}

func TestServersRefuseWhatTheyHaveAnnouncedNotToHave(t *testing.T) {
	filters := func(names ...string) *wire.Subscribe {
		p := &wire.Subscribe{PacketID: 1}
		for _, name := range names {
			p.Filters = append(p.Filters, wire.SubscribeFilter{Filter: name})
		}
		return p
	}
	identified := filters("a")
	identified.SubscriptionID = 1
	for name, test := range map[string]struct {
		of   func(Limits) error
		want wire.ReasonCode
	}{
		"no will":                 {func(l Limits) error { return RefuseWill(nil, l) }, 0},
		"will":                    {func(l Limits) error { return RefuseWill(&wire.Will{Topic: "w"}, l) }, 0},
		"QoS of a will":           {func(l Limits) error { return RefuseWill(&wire.Will{QoS: 1}, l) }, wire.QoSNotSupported},
		"retained will":           {func(l Limits) error { return RefuseWill(&wire.Will{Retain: true}, l) }, wire.RetainNotSupported},
		"message":                 {func(l Limits) error { return RefusePublish(&wire.Publish{Topic: "t"}, l) }, 0},
		"QoS of a message":        {func(l Limits) error { return RefusePublish(&wire.Publish{QoS: 1}, l) }, wire.QoSNotSupported},
		"retained message":        {func(l Limits) error { return RefusePublish(&wire.Publish{Retain: true}, l) }, wire.RetainNotSupported},
		"filters":                 {func(l Limits) error { return RefuseSubscribe(filters("a", "b/c"), wire.V5, l) }, 0},
		"wildcard":                {func(l Limits) error { return RefuseSubscribe(filters("a", "+"), wire.V5, l) }, wire.WildcardSubscriptionsNotSupported},
		"shared filter":           {func(l Limits) error { return RefuseSubscribe(filters("$share/g/a"), wire.V5, l) }, wire.SharedSubscriptionsNotSupported},
		"subscription identifier": {func(l Limits) error { return RefuseSubscribe(identified, wire.V5, l) }, wire.SubscriptionIdentifiersNotSupported},
		"wildcard of 3.1.1":       {func(l Limits) error { return RefuseSubscribe(filters("+"), wire.V311, l) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, test.of(NoLimits()))
			err := test.of(little)
			if test.want == 0 {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, test.want)
			require.ErrorAs(t, err, new(*wire.Error))
		})
	}
}

func TestServersRefuseAWildcardInTheResponseTopic(t *testing.T) {
	p := &wire.Publish{Topic: "t", Properties: &wire.PublishProperties{ResponseTopic: "a/+"}}
	require.ErrorIs(t, RefusePublish(p, NoLimits()), wire.ProtocolError)
	p.Properties.ResponseTopic = "a"
	require.NoError(t, RefusePublish(p, NoLimits()))
}

func TestServersRefuseToKeepASessionThatWasToEnd(t *testing.T) {
	for _, test := range []struct {
		interval *uint32
		asked    uint32
		fails    bool
	}{
		{nil, 0, false}, {new(uint32(0)), 0, false}, {new(uint32(1)), 0, true}, {new(uint32(0)), 5, false}, {new(uint32(9)), 5, false},
	} {
		err := RefuseDisconnect(&wire.Disconnect{SessionExpiryInterval: test.interval}, test.asked)
		require.Equal(t, test.fails, err != nil)
	}
}

func TestRefusalVersion(t *testing.T) {
	for body, want := range map[string]wire.Version{
		"\x00\x04MQTT\x06":   wire.V5,
		"\x00\x04MQTT\x02":   wire.V311,
		"\x00\x06MQIsdp\x04": wire.V311,
		"\x00\x04MQTT":       0,
		"\x00\x04mqtt\x05":   0,
		"":                   0,
	} {
		require.Equal(t, want, RefusalVersion([]byte(body)), "%q", body)
	}
}

func TestConnectExpiry(t *testing.T) {
	for _, test := range []struct {
		p    wire.Connect
		want uint32
	}{
		{wire.Connect{Version: wire.V31, CleanStart: true}, 0},
		{wire.Connect{Version: wire.V311}, forever},
		{wire.Connect{Version: wire.V5}, 0},
		{wire.Connect{Version: wire.V5, CleanStart: true, SessionExpiryInterval: 7}, 7},
	} {
		require.Equal(t, test.want, ConnectExpiry(&test.p))
	}
}
