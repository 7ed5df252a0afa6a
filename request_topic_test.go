package mqtt_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestRequestOnANamedTopic(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		m := question("?")
		m.ResponseTopic = "answers"
		r := beginRequest(t.Context(), client, m)
		p := mqtttest.Take[*wire.Subscribe](conn)
		require.Equal(t, "answers", p.Filters[0].Filter)
		// What comes before the request answers an earlier one.
		conn.Send(to("answers", pub(0, 0, "stale")), suback(p))
		asked := takeRequest(conn)
		if v == wire.V5 {
			require.Equal(t, "answers", asked.Properties.ResponseTopic)
		} else {
			require.Nil(t, asked.Properties)
		}
		retained := to("answers", pub(0, 0, "retained"))
		retained.Retain = true
		conn.Send(retained, to("answers", pub(0, 0, "!")))
		require.NoError(t, r.wait())
		require.Equal(t, "!", string(r.response.Payload))
		end := mqtttest.Take[*wire.Unsubscribe](conn)
		require.Equal(t, []string{"answers"}, end.Filters)
		require.Equal(t, uint64(2), client.Stats().StrayResponses)
	})
}

func TestRequestsOnANamedTopicWaitForOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := open(t, srv, quiet(srv))
		ask := func(ctx context.Context, payload, topic string) *requesting {
			m := question(payload)
			m.ResponseTopic = topic
			return beginRequest(ctx, client, m)
		}
		first := ask(t.Context(), "1", "answers")
		grant(conn)
		takeRequest(conn)
		second := ask(t.Context(), "2", "answers")
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := ask(impatient, "3", "answers").wait()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, mqtt.NotSent(err))
		conn.WantIdle()
		other := ask(t.Context(), "4", "elsewhere")
		grant(conn)
		require.Equal(t, "4", string(takeRequest(conn).Payload))
		conn.Send(to("elsewhere", pub(0, 0, "re 4")))
		require.NoError(t, other.wait())
		require.Equal(t, "re 4", string(other.response.Payload))
		require.Equal(t, []string{"elsewhere"}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
		conn.Send(to("answers", pub(0, 0, "re 1")))
		require.NoError(t, first.wait())
		require.Equal(t, []string{"answers"}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
		grant(conn)
		require.Equal(t, "2", string(takeRequest(conn).Payload))
		conn.Send(to("answers", pub(0, 0, "re 2")))
		require.NoError(t, second.wait())
		require.Equal(t, "re 2", string(second.response.Payload))
	})
}

func TestNamedTopicWithCorrelationTakesOnlyItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		m := question("?")
		m.ResponseTopic, m.CorrelationData = "answers", []byte("7")
		r := beginRequest(t.Context(), client, m)
		grant(conn)
		p := takeRequest(conn)
		require.Equal(t, "7", string(p.Properties.CorrelationData))
		other := responseTo(p, "other")
		other.Properties.CorrelationData = []byte("8")
		conn.Send(other, responseTo(p, "mine"))
		require.NoError(t, r.wait())
		require.Equal(t, "mine", string(r.response.Payload))
	})
}

func TestRequestWithoutATopicNeeds50(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := open(t, srv, quiet(srv))
		_, err := client.Request(t.Context(), question("?"))
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.ErrorContains(t, err, "MQTT 3.1.1 has no response topics")
		conn.WantIdle()
	})
}
