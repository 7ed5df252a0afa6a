package mqtt_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestPublishUsesAliasesOnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.SendTopicAliases = 5
		client, conn := openWith(t, srv, cfg, &wire.Connack{TopicAliasMaximum: 10})
		send := func() {
			require.NoError(t, client.Publish(t.Context(), "plant/1/temperature", []byte("x"), 0))
		}
		want := func(topic string, alias uint16) {
			p := &wire.Publish{Topic: topic, Payload: []byte("x")}
			if alias > 0 {
				p.Properties = &wire.PublishProperties{TopicAlias: alias}
			}
			conn.Want(p)
		}
		send()
		send()
		send()
		want("plant/1/temperature", 0)
		want("plant/1/temperature", 1)
		want("", 1)
		conn.Close()
		conn = srv.Connected(&wire.Connack{SessionPresent: true, TopicAliasMaximum: 10})
		synctest.Wait()
		send()
		send()
		want("plant/1/temperature", 0)
		want("plant/1/temperature", 1)
	})
}

func TestPublishUsesNoAliasesUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := openWith(t, srv, quiet(srv), &wire.Connack{TopicAliasMaximum: 10})
		for range 4 {
			require.NoError(t, client.Publish(t.Context(), "plant/1/temperature", nil, 0))
			conn.Want(&wire.Publish{Topic: "plant/1/temperature"})
		}
	})
}
