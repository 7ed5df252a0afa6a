package prommqtt_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/contrib/prommqtt"
	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/mqtttest"
)

// values returns the values of a metric, or the counts of a histogram, by the values of all
// labels but client.
func values(t *testing.T, c prometheus.Collector, name string) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(c))
	families, err := reg.Gather()
	require.NoError(t, err)
	all := make(map[string]float64)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			var labels strings.Builder
			for _, l := range m.Label {
				if l.GetName() != "client" {
					labels.WriteString(l.GetValue() + " ")
				}
			}
			all[labels.String()] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func TestMessagesAreCountedByTemplateAndFilter(t *testing.T) {
	b := mqtttest.NewBrokerWith(t, mqtttest.Config{Broker: broker.Config{
		Authorizers: []broker.Authorizer{broker.AuthorizerFunc(noDenied)},
	}})
	messages := prommqtt.NewMessages(match.MustParsePattern("devices/{id}/up"))
	client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Hooks: []mqtt.Hook{messages.Hook("c")}})
	require.NoError(t, err)
	defer client.Close()
	sub, err := client.Subscribe(t.Context(), "devices/+/up", mqtt.AtLeastOnce)
	require.NoError(t, err)
	for _, topic := range []string{"devices/7/up", "devices/8/up", "elsewhere"} {
		require.NoError(t, client.Publish(t.Context(), topic, nil, mqtt.AtLeastOnce))
	}
	require.ErrorIs(t, client.Publish(t.Context(), "denied", nil, mqtt.AtLeastOnce), mqtt.NotAuthorized)
	_, err = sub.Next(t.Context())
	require.NoError(t, err)
	failed := errors.New("failed")
	err = sub.Handle(t.Context(), func(context.Context, *mqtt.Message) error { return failed })
	require.ErrorIs(t, err, failed)

	require.Equal(t, map[string]float64{
		"publish ok devices/{id}/up ": 2, "publish ok other ": 1, "publish refused other ": 1,
	}, values(t, messages, "mqtt_client_topic_published_messages_total"))
	require.Equal(t, map[string]float64{"publish devices/{id}/up ": 2, "publish other ": 2},
		values(t, messages, "mqtt_client_topic_publish_duration_seconds"))
	require.Equal(t, map[string]float64{"devices/+/up next ok ": 1, "devices/+/up handle failed ": 1},
		values(t, messages, "mqtt_client_filter_consumed_messages_total"))
	require.Equal(t, map[string]float64{"devices/+/up handle ": 1},
		values(t, messages, "mqtt_client_filter_handle_duration_seconds"))

	problems, err := testutil.CollectAndLint(messages)
	require.NoError(t, err)
	require.Empty(t, problems)
	messages.Forget("another")
	require.Equal(t, 8, testutil.CollectAndCount(messages))
	messages.Forget("c")
	require.Zero(t, testutil.CollectAndCount(messages))
}

// noDenied denies publishing on the topic denied.
func noDenied(_ context.Context, a *broker.Access) broker.Decision {
	if a.Topic == "denied" {
		return broker.Deny(mqtt.NotAuthorized, "")
	}
	return broker.Allow()
}

func TestFiltersThatBecomeLabelsAreBounded(t *testing.T) {
	messages := prommqtt.NewMessages()
	hook := messages.Hook("c\xff")
	for range 2 {
		for i := range 150 {
			_, done := hook.Consume(t.Context(), &mqtt.ConsumeInfo{Operation: mqtt.OperationNext, Filter: fmt.Sprint(i)})
			done(nil)
		}
	}
	counts := values(t, messages, "mqtt_client_filter_consumed_messages_total")
	require.Len(t, counts, 101)
	require.Equal(t, 2.0, counts["99 next ok "])
	require.Equal(t, 100.0, counts["other next ok "])
}

func TestABatchCountsEachOfItsMessagesAndOneCall(t *testing.T) {
	messages := prommqtt.NewMessages()
	m := new(mqtt.Message)
	batch := &mqtt.ConsumeInfo{Operation: mqtt.OperationHandleBatches, Message: m, Batch: []*mqtt.Message{m, m, m}, Filter: "f"}
	_, done := messages.Hook("c").Consume(t.Context(), batch)
	done(nil)
	require.Equal(t, map[string]float64{"f batches ok ": 3}, values(t, messages, "mqtt_client_filter_consumed_messages_total"))
	require.Equal(t, map[string]float64{"f batches ": 1}, values(t, messages, "mqtt_client_filter_handle_duration_seconds"))
}

func TestCollectorAndMessagesHaveNoNameInCommon(t *testing.T) {
	b := mqtttest.NewBroker(t)
	c, messages := prommqtt.NewCollector(), prommqtt.NewMessages()
	client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Hooks: []mqtt.Hook{messages.Hook("c")}})
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, c.AddClient("c", client))
	require.Error(t, c.AddClient("\xff", client))
	require.Error(t, c.AddBroker("\xff", b))
	require.NoError(t, client.Publish(t.Context(), "t", nil, mqtt.AtLeastOnce))
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(c))
	require.NoError(t, reg.Register(messages))
	_, err = reg.Gather()
	require.NoError(t, err)
}

func BenchmarkHook(b *testing.B) {
	messages := prommqtt.NewMessages(match.MustParsePattern("devices/{id}/down"), match.MustParsePattern("devices/{id}/up"))
	hook := messages.Hook("c")
	m := &mqtt.Message{Topic: "devices/7/up"}
	b.Run("publish", func(b *testing.B) {
		p := &mqtt.PublishInfo{Message: m}
		b.ReportAllocs()
		for b.Loop() {
			_, done := hook.Publish(b.Context(), p)
			done(mqtt.Ack{}, nil)
		}
	})
	b.Run("consume", func(b *testing.B) {
		c := &mqtt.ConsumeInfo{Message: m, Operation: mqtt.OperationHandle, Filter: "devices/+/up"}
		b.ReportAllocs()
		for b.Loop() {
			_, done := hook.Consume(b.Context(), c)
			done(nil)
		}
	})
}
