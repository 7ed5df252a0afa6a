package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/coder/websocket"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/wire"
)

// webSocketBroker lets clients reach b by way of WebSocket.
func webSocketBroker(b *broker.Broker) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
		if err != nil {
			return
		}
		back, err := b.Dial(r.Context())
		if err != nil {
			return
		}
		relay(websocket.NetConn(context.Background(), ws, websocket.MessageBinary), back)
	}))
}

func ExampleConnect_webSocket() {
	ctx := context.Background()
	b := broker.New(broker.Config{})
	defer b.Close()
	web := webSocketBroker(b)
	defer web.Close()

	client, err := mqtt.Connect(ctx, "ws://"+web.Listener.Addr().String()+"/mqtt", mqtt.Config{
		Header: http.Header{"Authorization": {"Bearer token"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.Publish(ctx, "t", []byte("hello"), mqtt.AtLeastOnce))
	// Output: <nil>
}

func ExampleHTTPError() {
	b := broker.New(broker.Config{})
	defer b.Close()
	web := webSocketBroker(b)
	defer web.Close()

	_, err := mqtt.Connect(context.Background(), "ws://"+web.Listener.Addr().String(), mqtt.Config{})
	if said, ok := errors.AsType[*mqtt.HTTPError](err); ok && said.StatusCode == http.StatusUnauthorized {
		fmt.Println(said)
	}
	// Output: server answered the WebSocket handshake with 401 Unauthorized
}

// Tokens that expire: each attempt gets a new one.
func ExampleAttempt() {
	ctx := context.Background()
	config, b := exampleConfig()
	defer b.Close()
	issued := 0
	config.Attempt = func(ctx context.Context, a *mqtt.Attempt) error {
		issued++ // a real one would ask a token service within ctx
		a.Username, a.Password = "device-7", mqtt.Secret(fmt.Sprint("token ", issued))
		return nil
	}
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.Reconnect(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(issued, "tokens")
	// Output: 2 tokens
}

func ExampleAttempt_String() {
	a := mqtt.Attempt{Number: 3, Server: "wss://host/mqtt?X-Amz-Signature=secret", Password: "secret"}
	fmt.Println(a)
	// Output: mqtt.Attempt{Number: 3, Server: "wss://host:443/mqtt"}
}

func ExampleClient_Reconnect() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	// The network is known to have changed: do not wait to find out.
	if err := client.Reconnect(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.State(), client.Stats().Connections)
	// Output: connected 2
}

// The second server stands in for the first.
func ExampleServerOrder() {
	ctx := context.Background()
	config, b := exampleConfig()
	defer b.Close()
	toBroker := config.Dial
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		fmt.Println("dial", address)
		if address == "one.example:8883" {
			return nil, errors.New("down")
		}
		return toBroker(ctx, network, address)
	}
	config.Servers = []string{"mqtt://two.example"}
	config.ServerOrder = mqtt.FirstServerFirst
	client, err := mqtt.Connect(ctx, "mqtts://one.example", config)
	if err != nil {
		log.Fatal(err)
	}
	client.Close()
	// Output:
	// dial one.example:8883
	// dial two.example:1883
}

func ExampleRedirection() {
	config := mqtt.Config{
		Username: "device-7",
		Redirect: func(r mqtt.Redirection) mqtt.RedirectAction {
			if host, _, err := net.SplitHostPort(r.To); err == nil && (host == "a.example" || host == "b.example") {
				return mqtt.FollowWithCredentials
			}
			return mqtt.StayAway
		},
	}
	fmt.Println(config.Redirect(mqtt.Redirection{From: "a.example:1883", To: "b.example:1883"}) == mqtt.FollowWithCredentials)
	fmt.Println(config.Redirect(mqtt.Redirection{From: "a.example:1883", To: "evil.example:1883"}) == mqtt.StayAway)
	fmt.Println(mqtt.IsPermanent(&mqtt.ServerError{Packet: wire.TypeConnack, ReasonCode: mqtt.UseAnotherServer}))
	// Output:
	// true
	// true
	// false
}
