package prommqtt_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/contrib/prommqtt"
	"github.com/seed65a45251/mqtt/match"
)

// serve shows the figures of client and b under /metrics.
// <serve>
func serve(mux *http.ServeMux, client *mqtt.Client, b *broker.Broker) error {
	collector := prommqtt.NewCollector()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return errors.Join(collector.AddClient("orders", client), collector.AddBroker("main", b))
}

// </serve>

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b := broker.New(broker.Config{})
	defer b.Close()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) { return b.Dial(ctx) }
	client, err := mqtt.Connect(ctx, "mqtt://localhost", mqtt.Config{Dial: dial}) // an ordinary program: mqtt.Config{}
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	mux := http.NewServeMux()
	if err := serve(mux, client, b); err != nil {
		log.Fatal(err)
	}
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "mqtt_client_connections{") || strings.HasPrefix(line, "mqtt_broker_sessions{") {
			fmt.Print(line)
		}
	}
	// Output:
	// mqtt_broker_sessions{broker="main"} 1
	// mqtt_client_connections{client="orders"} 1
}

// A label of your own comes with the registration.
func ExampleNewCollector() {
	collector := prommqtt.NewCollector()
	registry := prometheus.NewRegistry()
	err := prometheus.WrapRegistererWith(prometheus.Labels{"site": "berlin"}, registry).Register(collector)
	fmt.Println(err)
	// Output: <nil>
}

func ExampleCollector_AddClient() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b := broker.New(broker.Config{})
	defer b.Close()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) { return b.Dial(ctx) }
	client, err := mqtt.Connect(ctx, "mqtt://localhost", mqtt.Config{Dial: dial}) // an ordinary program: mqtt.Config{}
	if err != nil {
		log.Fatal(err)
	}

	collector := prommqtt.NewCollector()
	fmt.Println(collector.AddClient("orders", client))
	fmt.Println(testutil.CollectAndCount(collector, "mqtt_client_connections"))
	client.Close()
	fmt.Println(testutil.CollectAndCount(collector, "mqtt_client_connections"))
	// Output:
	// <nil>
	// 1
	// 0
}

func ExampleCollector_RemoveClient() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b := broker.New(broker.Config{})
	defer b.Close()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) { return b.Dial(ctx) }
	client, err := mqtt.Connect(ctx, "mqtt://localhost", mqtt.Config{Dial: dial})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	collector := prommqtt.NewCollector()
	fmt.Println(collector.AddClient("orders", client))
	collector.RemoveClient("orders")
	fmt.Println(testutil.CollectAndCount(collector, "mqtt_client_connections"))
	// Output:
	// <nil>
	// 0
}

func ExampleCollector_AddBroker() {
	b := broker.New(broker.Config{})
	defer b.Close()
	collector := prommqtt.NewCollector()
	fmt.Println(collector.AddBroker("main", b))
	fmt.Println(testutil.CollectAndCount(collector, "mqtt_broker_sessions"))
	collector.RemoveBroker("main")
	fmt.Println(testutil.CollectAndCount(collector, "mqtt_broker_sessions"))
	// Output:
	// <nil>
	// 1
	// 0
}

func ExampleCollector_RemoveBroker() {
	b := broker.New(broker.Config{})
	collector := prommqtt.NewCollector()
	fmt.Println(collector.AddBroker("main", b))
	b.Close()
	collector.RemoveBroker("main") // a broker does not say by itself that it has ended
	fmt.Println(testutil.CollectAndCount(collector, "mqtt_broker_sessions"))
	// Output:
	// <nil>
	// 0
}

func ExampleNewMessages() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b := broker.New(broker.Config{})
	defer b.Close()
	messages := prommqtt.NewMessages(match.MustParsePattern("devices/{id}/up"))
	client, err := mqtt.Connect(ctx, "mqtt://localhost", mqtt.Config{
		Dial:  func(ctx context.Context, network, address string) (net.Conn, error) { return b.Dial(ctx) },
		Hooks: []mqtt.Hook{messages.Hook("orders")},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	for _, topic := range []string{"devices/7/up", "devices/8/up", "elsewhere"} {
		fmt.Println(client.Publish(ctx, topic, nil, mqtt.AtLeastOnce))
	}
	fmt.Println(testutil.CollectAndCount(messages, "mqtt_client_topic_published_messages_total"), "series")
	messages.Forget("orders")
	fmt.Println(testutil.CollectAndCount(messages), "series")
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// 2 series
	// 0 series
}
