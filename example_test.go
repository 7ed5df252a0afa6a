package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/coder/websocket"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/wire"
)

// exampleConfig makes the examples run on an embedded broker. An ordinary
// program leaves Dial out.
func exampleConfig() (mqtt.Config, *broker.Broker) {
	b := broker.New(broker.Config{})
	dial := func(ctx context.Context, network, address string) (net.Conn, error) { return b.Dial(ctx) }
	return mqtt.Config{Dial: dial}, b
}

// exampleClient is a connected client for the examples.
func exampleClient(ctx context.Context) (client *mqtt.Client, end func()) {
	config, b := exampleConfig()
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	return client, func() {
		client.Close()
		b.Close()
	}
}

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig() // an ordinary program: mqtt.Config{}
	defer b.Close()

	client, err := mqtt.Connect(ctx, "mqtt://localhost:1883", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	sub, err := client.Subscribe(ctx, "sensors/+/temp", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Publish(ctx, "sensors/7/temp", []byte("21.5"), mqtt.ExactlyOnce); err != nil {
		log.Fatal(err)
	}
	for msg := range sub.Stream(ctx) { // an ordinary program: until signal.NotifyContext ends it
		fmt.Printf("%s %s\n", msg.Topic, msg.Payload)
		break
	}
	if err := sub.Err(); err != nil {
		log.Fatal(err)
	}
	// Output: sensors/7/temp 21.5
}

func ExampleStart() {
	config, b := exampleConfig()
	defer b.Close()
	client, err := mqtt.Start("mqtt://localhost", config)
	if err != nil {
		log.Fatal(err) // the configuration cannot work
	}
	defer client.Close()

	// There may be no network yet. The message waits in the queue.
	ctx := context.Background()
	d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "boot", QoS: mqtt.AtLeastOnce})
	if err != nil {
		log.Fatal(err)
	}
	ack, err := d.Wait(ctx)
	fmt.Println(ack.ReasonCode, err)
	// Output: no matching subscribers (0x10) <nil>
}

func ExampleClient_WaitConnected() {
	config, b := exampleConfig()
	defer b.Close()
	client, err := mqtt.Start("mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println(client.WaitConnected(ctx))
	// Output: <nil>
}

func ExampleConnect_refused() {
	ctx := context.Background()
	b := broker.New(broker.Config{
		Authenticators: []broker.Authenticator{
			broker.AuthenticatorFunc(func(context.Context, *broker.Login) broker.Decision {
				return broker.Deny(wire.BadUserNameOrPassword, "")
			}),
		},
	})
	defer b.Close()
	_, err := mqtt.Connect(ctx, "mqtt://localhost", mqtt.Config{
		Username: "worker", Password: "guess",
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) { return b.Dial(ctx) },
	})
	fmt.Println(errors.Is(err, mqtt.BadUserNameOrPassword))
	// Output: true
}

func ExampleClient_Watch() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig()
	defer b.Close()
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	events := client.Watch(ctx)
	b.DropConnections()
	for e := range events {
		fmt.Println(e.State)
		if e.State == mqtt.Connected {
			fmt.Println("session resumed:", e.Session == mqtt.SessionResumed)
			go client.Close()
		}
	}
	// Output:
	// reconnecting
	// connecting
	// connected
	// session resumed: true
	// closed
}

func ExampleClient_Disconnect() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	m := &mqtt.Message{Topic: "last words", Payload: []byte("bye"), QoS: mqtt.ExactlyOnce}
	d, err := client.PublishAsync(ctx, m)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.Disconnect(ctx)) // after the acknowledgement
	_, err = d.Wait(ctx)
	fmt.Println(err, client.State(), client.Err())
	// Output: <nil>
	// <nil> closed client closed
}

func ExampleUnfinishedError() {
	ctx := context.Background()
	client, end := exampleClient(ctx)
	defer end()
	sub, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: "jobs", QoS: mqtt.AtLeastOnce}}, ManualAck: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Publish(ctx, "jobs", []byte("1"), mqtt.AtLeastOnce); err != nil {
		log.Fatal(err)
	}
	job, err := sub.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("working on job %s\n", job.Payload)

	limited, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	err = client.Disconnect(limited)
	if left, ok := errors.AsType[*mqtt.UnfinishedError](err); ok {
		fmt.Println("received and not finished:", left.Received)
	}
	// Output:
	// working on job 1
	// received and not finished: 1
}

func ExampleClient_State() {
	ctx := context.Background()
	client, end := exampleClient(ctx)
	defer end()

	fmt.Println(client.State())
	client.Close()
	fmt.Println(client.State())
	// Output:
	// connected
	// closed
}

func ExampleClient_Stats() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	if err := client.Publish(ctx, "metrics", []byte("1"), mqtt.AtLeastOnce); err != nil {
		log.Fatal(err)
	}
	s := client.Stats()
	fmt.Println(s.Up, s.Published, s.Acknowledged, s.Queued, s.RoundTrips.Count)
	// Output: 1 1 1 0 1
}

func ExampleClient_Ping() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	roundTrip, err := client.Ping(ctx)
	fmt.Println(roundTrip > 0, err)
	fmt.Println(client.Stats().Ping.Count)
	// Output:
	// true <nil>
	// 1
}

func ExampleClient_ServerInfo() {
	ctx := context.Background()
	client, end := exampleClient(ctx)
	defer end()

	info := client.ServerInfo()
	fmt.Println(info.Server, info.Version, info.KeepAlive, info.SessionPresent, info.Limits.NoShared)
	// Output: mqtt://localhost:1883 5.0 1m0s false false
}

func ExampleClient_Close() {
	ctx := context.Background()
	client, end := exampleClient(ctx)
	defer end()

	client.Close()
	<-client.Done() // closed by now
	fmt.Println(client.Err())
	fmt.Println(client.Publish(ctx, "t", nil, mqtt.AtMostOnce))
	// Output:
	// client closed
	// mqtt: publish "t": client closed (not sent)
}

func ExampleClient_Done() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig()
	defer b.Close()
	config.ClientID, config.Permanent = "pump", mqtt.IsPermanent
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	b.Disconnect("pump", wire.NotAuthorized) // which is permanent by that rule
	<-client.Done()
	fmt.Println(errors.Is(client.Err(), mqtt.NotAuthorized))
	// Output: true
}

func ExampleIsPermanent() {
	config := mqtt.Config{
		// A server whose user database is often late.
		Permanent: func(err error) bool {
			return mqtt.IsPermanent(err) && !errors.Is(err, mqtt.BadUserNameOrPassword)
		},
	}
	fmt.Println(mqtt.IsPermanent(mqtt.ErrKeepAlive))
	fmt.Println(config.Permanent(&mqtt.ServerError{Packet: wire.TypeConnack, ReasonCode: mqtt.Banned}))
	fmt.Println(config.Permanent(&mqtt.ServerError{Packet: wire.TypeConnack, ReasonCode: mqtt.BadUserNameOrPassword}))
	// Output:
	// false
	// true
	// false
}

func ExampleClient_DisconnectWith() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig()
	defer b.Close()
	config.ClientID, config.Resume = "meter-7", true
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	// The meter is taken down: nobody will come back for its session.
	err = client.DisconnectWith(ctx, mqtt.DisconnectOptions{SessionExpiry: new(time.Duration(0))})
	fmt.Println(err)
	// Output: <nil>
}

type order struct{} // the key of an order in a context

// An order goes from the context of its publisher to that of its handler, as the contexts
// of traces do.
func ExampleHook() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig()
	defer b.Close()
	config.Hooks = []mqtt.Hook{{
		Publish: func(ctx context.Context, m *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
			if name, ok := ctx.Value(order{}).(string); ok {
				m.AddUserProperty("order", name)
			}
			return ctx, func(ack mqtt.Ack, err error) { fmt.Println("published:", ack.ReasonCode, err) }
		},
		Consume: func(ctx context.Context, m *mqtt.ConsumeInfo) (context.Context, func(error)) {
			if name, ok := m.Message.UserProperty("order"); ok {
				ctx = context.WithValue(ctx, order{}, name)
			}
			return ctx, func(err error) { fmt.Println(m.Operation, m.Filter, "done:", err) }
		},
	}}
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	err = client.PublishMessage(context.WithValue(ctx, order{}, "42"),
		&mqtt.Message{Topic: "orders", Payload: []byte("tea"), Retain: true})
	if err != nil {
		log.Fatal(err)
	}
	handling, enough := context.WithCancel(ctx)
	client.Handle(handling, mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "orders"}}},
		func(ctx context.Context, m *mqtt.Message) error {
			fmt.Printf("%s, order %s\n", m.Payload, ctx.Value(order{}))
			enough()
			return nil
		})
	// Output:
	// published: success (0x00) <nil>
	// tea, order 42
	// handle orders done: <nil>
}

func ExampleConfig_packetLog() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig()
	defer b.Close()
	config.ClientID = "c1"
	packetsOnly := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == "client_id" || a.Key == "lasted" {
			return slog.Attr{}
		}
		return a
	}
	config.Logger = slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: mqtt.LevelPacket, ReplaceAttr: packetsOnly}))
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	client.Publish(ctx, "t", []byte("secret"), mqtt.AtLeastOnce)
	client.Close()
	// Output:
	// msg="mqtt client connects" attempt=1 server=localhost:1883
	// msg="mqtt packet sent" packet=CONNECT size=25 clean_start=true keep_alive=60 will=false
	// msg="mqtt packet received" packet=CONNACK size=16 session_present=false reason="success (0x00)"
	// msg="mqtt connection established" server=mqtt://localhost:1883 address=localhost:1883 version=5.0 session=new attempt=1
	// msg="mqtt packet sent" packet=PUBLISH size=14 topic=t qos=1 payload=6 packet_id=1 dup=false
	// msg="mqtt packet received" packet=PUBACK size=5 packet_id=1 reason="no matching subscribers (0x10)"
	// msg="mqtt packet sent" packet=DISCONNECT size=9 reason="success (0x00)"
	// msg="mqtt connection ended" server=mqtt://localhost:1883 address=localhost:1883 cause="client closed"
	// msg="mqtt client ended" cause="client closed"
}

// shibboleth is a method with one challenge: the server says a word, the client
// another one, and the server a third that only the right one knows.
type shibboleth struct{ answers map[string]string }

func (s shibboleth) Method() string { return "SHIBBOLETH" }

func (s shibboleth) Start(context.Context) (mqtt.AuthExchange, []byte, error) {
	return s, nil, nil // it keeps nothing of its own, and sends nothing first
}

func (s shibboleth) Continue(_ context.Context, challenge []byte) ([]byte, error) {
	answer, known := s.answers[string(challenge)]
	if !known {
		return nil, errors.New("never heard of it")
	}
	return []byte(answer), nil
}

func (s shibboleth) Finish(_ context.Context, final []byte) error {
	if string(final) != "open sesame" {
		return errors.New("not the server that it should be")
	}
	return nil
}

func ExampleAuthenticator() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := mqtt.Connect(ctx, "mqtt://localhost:1883", mqtt.Config{
		Authenticator: shibboleth{map[string]string{"flash": "thunder"}},
		Dial:          dialShibboleth, // an ordinary program leaves it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	fmt.Println(client.State())
	// Output: connected
}

func ExampleClient_Reauthenticate() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := mqtt.Connect(ctx, "mqtt://localhost:1883", mqtt.Config{
		Authenticator: shibboleth{map[string]string{"flash": "thunder"}},
		Dial:          dialShibboleth, // an ordinary program leaves it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	fmt.Println(client.Reauthenticate(ctx))
	// Output: <nil>
}

// dialShibboleth connects to a server that can do nothing but authenticate.
func dialShibboleth(context.Context, string, string) (net.Conn, error) {
	server, client := net.Pipe()
	go serveShibboleth(server)
	return client, nil
}

func serveShibboleth(nc net.Conn) {
	defer nc.Close()
	reader := wire.NewReader(nc, wire.V5, 0)
	decoder := wire.Decoder{Version: wire.V5, From: wire.FromClient}
	connected := false
	for {
		h, body, err := reader.ReadPacket()
		if err != nil {
			return
		}
		packet, err := decoder.Decode(h, body)
		if err != nil {
			return
		}
		var answer wire.Packet
		switch p := packet.(type) {
		case *wire.Connect:
			answer = &wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "SHIBBOLETH", AuthenticationData: []byte("flash")}
		case *wire.Auth:
			switch {
			case p.ReasonCode == wire.Reauthenticate:
				answer = &wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "SHIBBOLETH", AuthenticationData: []byte("flash")}
			case string(p.AuthenticationData) != "thunder":
				return
			case connected:
				answer = &wire.Auth{AuthenticationMethod: "SHIBBOLETH", AuthenticationData: []byte("open sesame")}
			default:
				connected = true
				answer = &wire.Connack{AuthenticationMethod: "SHIBBOLETH", AuthenticationData: []byte("open sesame")}
			}
		default:
			return
		}
		b, err := answer.Append(nil, wire.V5)
		if err != nil {
			return
		}
		if _, err := nc.Write(b); err != nil {
			return
		}
	}
}

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
		front := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
		go func() {
			io.Copy(front, back)
			front.Close()
		}()
		io.Copy(back, front)
		back.Close()
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

func ExampleClient_Publish() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	err := client.Publish(ctx, "orders/42", []byte("paid"), mqtt.ExactlyOnce)
	switch {
	case err == nil:
		fmt.Println("the server has it")
	case mqtt.NotSent(err):
		fmt.Println("certainly not sent; safe to do again")
	default:
		fmt.Println("perhaps sent:", err)
	}
	// Output: the server has it
}

func ExampleClient_PublishMessage() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.Subscribe(ctx, "doors/#", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	err = client.PublishMessage(ctx, &mqtt.Message{
		Topic:                 "doors/front",
		Payload:               []byte(`{"open":true}`),
		QoS:                   mqtt.AtLeastOnce,
		Retain:                true,
		ContentType:           "application/json",
		MessageExpiryInterval: new(time.Hour),
		UserProperties:        []mqtt.UserProperty{{Name: "trace", Value: "4711"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	msg, err := sub.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(msg.ContentType, msg.UserProperties[0].Value)
	// Output: application/json 4711
}

func ExampleClient_PublishAsync() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	var deliveries []*mqtt.Delivery
	for i := range 3 {
		d, err := client.PublishAsync(ctx, &mqtt.Message{
			Topic: "log", Payload: fmt.Appendf(nil, "line %d", i), QoS: mqtt.AtLeastOnce})
		if err != nil {
			log.Fatal(err) // no room in the queue within ctx
		}
		deliveries = append(deliveries, d)
	}
	for _, d := range deliveries {
		ack, err := d.Wait(ctx)
		fmt.Println(ack.ReasonCode, err)
	}
	// Output:
	// no matching subscribers (0x10) <nil>
	// no matching subscribers (0x10) <nil>
	// no matching subscribers (0x10) <nil>
}

func ExampleClient_Flush() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	for i := range 1000 {
		m := &mqtt.Message{Topic: "metrics", Payload: fmt.Append(nil, i), QoS: mqtt.AtLeastOnce}
		if _, err := client.PublishAsync(ctx, m); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(client.Flush(ctx), client.Stats().Inflight)
	// Output: <nil> 0
}

func ExampleDelivery_Wait() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "log", QoS: mqtt.ExactlyOnce})
	if err != nil {
		log.Fatal(err)
	}
	ack, err := d.Wait(ctx) // for PUBCOMP
	fmt.Println(ack.ReasonCode == mqtt.NoMatchingSubscribers, err)
	// Output: true <nil>
}

func ExampleDelivery_Done() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "log", QoS: mqtt.AtLeastOnce})
	if err != nil {
		log.Fatal(err)
	}
	select {
	case <-d.Done():
		_, err := d.Wait(ctx) // does not wait any more
		fmt.Println("done:", err)
	case <-time.After(time.Minute):
		fmt.Println("still on its way")
	}
	// Output: done: <nil>
}

func ExampleNotSent() {
	ctx := context.Background()
	client, end := exampleClient(ctx)
	defer end()

	err := client.Publish(ctx, "rooms/+/light", []byte("on"), mqtt.AtLeastOnce)
	fmt.Println(err)
	fmt.Println(mqtt.NotSent(err), errors.Is(err, mqtt.ErrInvalid))
	// Output:
	// mqtt: publish "rooms/+/light": topic name "rooms/+/light" has a wildcard (not sent)
	// true true
}

func ExampleWhenFull() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig()
	config.QueueMessages = 1
	config.WhenFull.Acknowledged = mqtt.FullDropOldest // the latest counts
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	events := client.Watch(ctx)
	b.Close() // no server: messages wait
	for e := range events {
		if e.State == mqtt.Reconnecting {
			break
		}
	}

	first, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "position", Payload: []byte("here"), QoS: mqtt.AtLeastOnce})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "position", Payload: []byte("there"), QoS: mqtt.AtLeastOnce}); err != nil {
		log.Fatal(err)
	}
	_, err = first.Wait(ctx)
	fmt.Println(errors.Is(err, mqtt.ErrQueueFull), mqtt.NotSent(err), client.Stats().Failed.QueueFull)
	// Output: true true 1
}

func ExampleUndelivered() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig()
	config.Undelivered = func(u mqtt.Undelivered) {
		fmt.Printf("%s: expired %t, not sent %t\n", u.Message.Topic, errors.Is(u.Err, mqtt.ErrExpired), mqtt.NotSent(u.Err))
	}
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	events := client.Watch(ctx)
	b.Close() // no server: messages wait
	for e := range events {
		if e.State == mqtt.Reconnecting {
			break
		}
	}

	// This one is worth nothing after a second, connected or not.
	position := &mqtt.Message{Topic: "position", Payload: []byte("here"), QoS: mqtt.AtLeastOnce, MessageExpiryInterval: new(time.Second)}
	delivery, err := client.PublishAsync(ctx, position)
	if err != nil {
		log.Fatal(err)
	}
	<-delivery.Done()
	client.Close() // waits for the function, for a second at most
	// Output: position: expired true, not sent true
}

func ExampleQueueLimits() {
	config := mqtt.Config{
		QueueMessages: 10_000,
		QueueAge:      time.Hour,
		// QoS 0 takes a tenth of it at most. Of each topic only the latest value counts.
		QueueAtMostOnce: mqtt.QueueLimits{Messages: 1000, Age: time.Minute},
		WhenFull:        mqtt.WhenFull{AtMostOnce: mqtt.FullKeepLatest},
	}
	fmt.Println(config.WhenFull.AtMostOnce == mqtt.FullKeepLatest)
	// Output: true
}
