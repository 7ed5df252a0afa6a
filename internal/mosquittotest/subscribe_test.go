package mosquittotest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func TestMosquittoRetainedMessageComesWithTheSubscriptionUntilCleared(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		ctx := testContext(t)
		client := connectTo(t, server.URL(), mqtt.Config{Version: v})
		for _, qos := range everyQoS {
			topic := fmt.Sprintf("retained/%d", qos)
			online := subscribeTo(t, client, topic, qos)
			require.NoError(t, client.PublishMessage(ctx, &mqtt.Message{Topic: topic, Payload: []byte("kept"), QoS: qos, Retain: true}))
			m := receive(t, online)
			require.Equal(t, "kept", string(m.Payload))
			require.False(t, m.Retain, "who is subscribed already gets a new message")
			require.NoError(t, online.Unsubscribe(ctx))

			late := subscribeTo(t, client, topic, qos)
			m = receive(t, late)
			require.Equal(t, "kept", string(m.Payload))
			require.True(t, m.Retain)
			require.NoError(t, late.Unsubscribe(ctx))

			require.NoError(t, client.PublishMessage(ctx, &mqtt.Message{Topic: topic, QoS: qos, Retain: true}))
			cleared := subscribeTo(t, client, topic, qos)
			publish(t, client, topic, "first", qos)
			wantPayloads(t, cleared, "first")
			require.NoError(t, cleared.Unsubscribe(ctx))
		}
	})
}

func TestMosquittoRetainHandling(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	ctx := testContext(t)
	client := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V5})
	require.NoError(t, client.PublishMessage(ctx, &mqtt.Message{Topic: "kept", Payload: []byte("kept"), QoS: mqtt.AtLeastOnce, Retain: true}))
	subscribe := func(f mqtt.Filter) *mqtt.Subscription {
		sub, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{Filters: []mqtt.Filter{f}})
		require.NoError(t, err)
		return sub
	}
	never := subscribe(mqtt.Filter{Filter: "kept", QoS: mqtt.AtLeastOnce, RetainHandling: mqtt.DontSendRetained})
	publish(t, client, "kept", "live", mqtt.AtLeastOnce)
	wantPayloads(t, never, "live")
	require.NoError(t, never.Unsubscribe(ctx))

	isNew := subscribe(mqtt.Filter{Filter: "kept", QoS: mqtt.AtLeastOnce, RetainHandling: mqtt.SendRetainedIfNew})
	wantPayloads(t, isNew, "kept")
	notNew := subscribe(mqtt.Filter{Filter: "kept", QoS: mqtt.AtLeastOnce, RetainHandling: mqtt.SendRetainedIfNew})
	publish(t, client, "kept", "live", mqtt.AtLeastOnce)
	wantPayloads(t, notNew, "live")
	wantPayloads(t, isNew, "live")

	// A further Subscription on the filter gets what is retained, the others do not again.
	third := subscribe(mqtt.Filter{Filter: "kept", QoS: mqtt.AtLeastOnce})
	publish(t, client, "kept", "end", mqtt.AtLeastOnce)
	wantPayloads(t, third, "kept", "end")
	wantPayloads(t, isNew, "end")
	wantPayloads(t, notNew, "end")
}

func TestMosquittoRetainAsPublished(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	ctx := testContext(t)
	client := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V5})
	sub, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: "flag", QoS: mqtt.AtLeastOnce, RetainAsPublished: true}},
	})
	require.NoError(t, err)
	for _, retain := range []bool{true, false} {
		require.NoError(t, client.PublishMessage(ctx, &mqtt.Message{Topic: "flag", QoS: mqtt.AtLeastOnce, Retain: retain}))
		require.Equal(t, retain, receive(t, sub).Retain)
	}
}

func TestMosquittoNoLocal(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	ctx := testContext(t)
	client := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V5})
	other := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V5})
	sub, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: "chat", QoS: mqtt.ExactlyOnce, NoLocal: true}},
	})
	require.NoError(t, err)
	publish(t, client, "chat", "mine", mqtt.ExactlyOnce)
	publish(t, other, "chat", "theirs", mqtt.ExactlyOnce)
	wantPayloads(t, sub, "theirs")
}

// overlapping subscribes to three filters that a/b matches.
func overlapping(t *testing.T, client *mqtt.Client) []*mqtt.Subscription {
	var subs []*mqtt.Subscription
	for _, filter := range []string{"a/b", "a/+", "a/#", "a/b"} {
		subs = append(subs, subscribeTo(t, client, filter, mqtt.ExactlyOnce))
	}
	several, err := client.SubscribeWith(testContext(t), mqtt.SubscribeOptions{Filters: []mqtt.Filter{
		{Filter: "+/b", QoS: mqtt.ExactlyOnce}, {Filter: "a/c", QoS: mqtt.ExactlyOnce},
	}})
	require.NoError(t, err)
	return append(subs, several)
}

func TestMosquittoOverlappingSubscriptionsEachGetEveryMessage(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		client := connectTo(t, server.URL(), mqtt.Config{Version: v})
		subs := overlapping(t, client)
		for i := range 20 {
			publish(t, client, "a/b", fmt.Sprint(i), mqtt.QoS(i%3))
		}
		publish(t, client, "a/b", "end", mqtt.ExactlyOnce)
		for n, sub := range subs {
			for i := range 20 {
				require.Equal(t, fmt.Sprint(i), string(receive(t, sub).Payload), "subscription %d", n)
			}
			wantPayloads(t, sub, "end")
		}
	})
}

// To a 5.0 client Mosquitto sends a copy per filter that matches. Filters of one
// SUBSCRIBE have one subscription identifier, so nothing tells their copies
// apart, and a Subscription whose own filters overlap gets them all.
func TestMosquittoSendsACopyPerFilterOfOneSubscription(t *testing.T) {
	for name, filters := range map[string][][]string{
		"one Subscription":               {{"a/b", "a/+", "a/#"}},
		"another has one of the filters": {{"a/+", "a/b", "a/#"}, {"a/b"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t, mosquitto.Options{})
			client := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V5})
			var subs []*mqtt.Subscription
			for _, fs := range filters {
				o := mqtt.SubscribeOptions{}
				for _, f := range fs {
					o.Filters = append(o.Filters, mqtt.Filter{Filter: f, QoS: mqtt.ExactlyOnce})
				}
				sub, err := client.SubscribeWith(testContext(t), o)
				require.NoError(t, err)
				subs = append(subs, sub)
			}
			for i := range 20 {
				publish(t, client, "a/b", fmt.Sprint(i), mqtt.ExactlyOnce)
			}
			for n, sub := range subs {
				copies := 0
				for i := 0; i < 20; copies++ {
					payload := string(receive(t, sub).Payload)
					if i > 0 && payload == fmt.Sprint(i-1) {
						continue
					}
					require.Equal(t, fmt.Sprint(i), payload, "subscription %d", n)
					i++
				}
				t.Logf("Subscription %d got %d copies of 20 messages", n, copies)
			}
		})
	}
}

func TestMosquittoSharedSubscriptionDividesTheMessages(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		const messages = 100
		ctx := testContext(t)
		publisher := connectTo(t, server.URL(), mqtt.Config{Version: v})
		got := make(chan string, 2*messages)
		members := make([]*mqtt.Client, 2)
		for i := range members {
			members[i] = connectTo(t, server.URL(), mqtt.Config{Version: v})
			sub := subscribeTo(t, members[i], "$share/group/jobs/+", mqtt.ExactlyOnce)
			go func() {
				for m := range sub.Messages() {
					got <- string(m.Payload)
				}
			}()
		}
		all := subscribeTo(t, publisher, "jobs/+", mqtt.ExactlyOnce)
		for i := range messages {
			publish(t, publisher, "jobs/x", fmt.Sprint(i), mqtt.ExactlyOnce)
		}
		seen := map[string]int{}
		for range messages {
			select {
			case payload := <-got:
				seen[payload]++
			case <-ctx.Done():
				t.Fatalf("of %d messages %d came", messages, len(seen))
			}
		}
		require.Len(t, seen, messages, "a message came twice: %v", seen)
		for _, m := range members {
			require.NotZero(t, m.Stats().Received)
		}
		for i := range messages {
			wantPayloads(t, all, fmt.Sprint(i))
		}
	})
}

func TestMosquittoUnsubscribeIsHeard(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		ctx := testContext(t)
		client := connectTo(t, server.URL(), mqtt.Config{Version: v})
		gone := subscribeTo(t, client, "gone", mqtt.ExactlyOnce)
		channel := gone.Messages()
		require.NoError(t, gone.Unsubscribe(ctx))
		_, open := <-channel
		require.False(t, open)
		require.NoError(t, gone.Err())
		_, err := gone.Next(ctx)
		require.ErrorIs(t, err, mqtt.ErrUnsubscribed)

		stays := subscribeTo(t, client, "stays", mqtt.ExactlyOnce)
		before := client.Stats().Received
		publish(t, client, "gone", "x", mqtt.ExactlyOnce)
		publish(t, client, "stays", "y", mqtt.ExactlyOnce)
		wantPayloads(t, stays, "y")
		require.Equal(t, before+1, client.Stats().Received)
	})
}
