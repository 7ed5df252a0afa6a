package clienttest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

const panicVariable = "MQTT_TEST_PANIC" // which function panics, in the process of its own

// TestPanicOfAFunctionEndsTheProgram runs functions of the program that the library calls on
// goroutines of its own, each in a process of its own. Deferred functions of the library
// must not keep it from ending.
func TestPanicOfAFunctionEndsTheProgram(t *testing.T) {
	for name, run := range map[string]func(context.Context, string, mqtt.Config){
		"Attempt": func(ctx context.Context, url string, cfg mqtt.Config) {
			cfg.Attempt = func(context.Context, *mqtt.Attempt) error { panic("oh") }
			mqtt.Connect(ctx, url, cfg)
		},
		"Dial": func(ctx context.Context, url string, cfg mqtt.Config) {
			cfg.Dial = func(context.Context, string, string) (net.Conn, error) { panic("oh") }
			mqtt.Connect(ctx, url, cfg)
		},
		"Permanent": func(ctx context.Context, url string, cfg mqtt.Config) {
			cfg.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") }
			cfg.RetryFirst, cfg.Permanent = true, func(error) bool { panic("oh") }
			mqtt.Connect(ctx, url, cfg)
		},
		"Authenticator": func(ctx context.Context, url string, cfg mqtt.Config) {
			cfg.Authenticator = panicking{}
			mqtt.Connect(ctx, url, cfg)
		},
		"Respond": func(ctx context.Context, url string, cfg mqtt.Config) {
			c, _ := mqtt.Connect(ctx, url, cfg)
			defer c.Close()
			go c.Request(ctx, &mqtt.Message{Topic: "t", Retain: true, Payload: []byte("x")}) // an empty one is not retained
			c.Respond(ctx, "t", func(context.Context, *mqtt.Message) (*mqtt.Message, error) { panic("oh") })
		},
		"Handle with Concurrency": func(ctx context.Context, url string, cfg mqtt.Config) {
			handleOne(ctx, url, cfg, mqtt.SubscribeOptions{Concurrency: 2}, func(context.Context, *mqtt.Message) error { panic("oh") })
		},
		"OrderBy": func(ctx context.Context, url string, cfg mqtt.Config) {
			handleOne(ctx, url, cfg, mqtt.SubscribeOptions{Concurrency: 2, OrderBy: func(*mqtt.Message) string { panic("oh") }},
				func(context.Context, *mqtt.Message) error { return nil })
		},
		"Hook that is told of the end": func(ctx context.Context, url string, cfg mqtt.Config) {
			cfg.Hooks = []mqtt.Hook{panickingHook(true)}
			c, _ := mqtt.Connect(ctx, url, cfg)
			defer c.Close()
			c.PublishAsync(ctx, &mqtt.Message{Topic: "t"})
			<-ctx.Done()
		},
		"Logger": func(ctx context.Context, url string, cfg mqtt.Config) {
			cfg.Logger = slog.New(panickingHandler{slog.DiscardHandler})
			c, _ := mqtt.Connect(ctx, url, cfg)
			c.Close()
			<-ctx.Done() // Close may return while the goroutine that panics has not ended the program yet
		},
	} {
		if os.Getenv(panicVariable) == name {
			b := broker.New(broker.Config{})
			defer b.Close()
			run(t.Context(), "mqtt://broker", mqtt.Config{ClientID: "c",
				Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }})
			t.Fatal("the function has returned")
		}
		if os.Getenv(panicVariable) == "" {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				self := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPanicOfAFunctionEndsTheProgram$", "-test.timeout=1m")
				self.Env = append(os.Environ(), panicVariable+"="+name)
				output, err := self.CombinedOutput()
				ended, ok := errors.AsType[*exec.ExitError](err)
				require.True(t, ok, "%s", output)
				require.Equal(t, 2, ended.ExitCode(), "%s", output)
				require.Contains(t, string(output), "panic: oh")
			})
		}
	}
}

func handleOne(ctx context.Context, url string, cfg mqtt.Config, o mqtt.SubscribeOptions, f func(context.Context, *mqtt.Message) error) {
	c, _ := mqtt.Connect(ctx, url, cfg)
	defer c.Close()
	c.PublishMessage(ctx, &mqtt.Message{Topic: "t", Retain: true, Payload: []byte("x")})
	o.Filters = Filters("t")
	c.Handle(ctx, o, f)
}

type panicking struct{}

func (panicking) Method() string { return "M" }

func (panicking) Start(context.Context) (mqtt.AuthExchange, []byte, error) { panic("oh") }

type panickingHandler struct{ slog.Handler }

func (panickingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (panickingHandler) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "mqtt connection ended" {
		panic("oh")
	}
	return nil
}

// panickingHook panics when it sees a message that is published or handled, or when it is
// told how it ended.
func panickingHook(atTheEnd bool) mqtt.Hook {
	return mqtt.Hook{
		Publish: func(ctx context.Context, _ *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
			if !atTheEnd {
				panic("oh")
			}
			return ctx, func(mqtt.Ack, error) { panic("oh") }
		},
		Consume: func(ctx context.Context, m *mqtt.ConsumeInfo) (context.Context, func(error)) {
			if m.Operation != mqtt.OperationHandle {
				return ctx, nil
			}
			if !atTheEnd {
				panic("oh")
			}
			return ctx, func(error) { panic("oh") }
		},
	}
}

// TestPanicInTheCallersGoroutine reaches the caller, who may recover: the client goes on.
func TestPanicInTheCallersGoroutine(t *testing.T) {
	for _, outcome := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := Quiet(srv)
			cfg.Hooks = []mqtt.Hook{panickingHook(outcome)}
			client, conn := Open(t, srv, cfg)
			message := &mqtt.Message{Topic: "t", Payload: []byte("x")}
			require.PanicsWithValue(t, "oh", func() { client.PublishMessage(t.Context(), message) })
			if outcome {
				conn.Want(Pub(0, 0, "x"))
			} else {
				require.PanicsWithValue(t, "oh", func() { client.PublishAsync(t.Context(), message) })
			}
			conn.WantIdle()
			sub := Subscribe(t, client, conn, "t", 1)
			conn.Send(Pub(1, 1, "handled"))
			require.PanicsWithValue(t, "oh", func() {
				sub.Handle(t.Context(), func(context.Context, *mqtt.Message) error { return nil })
			})
			conn.WantIdle()
			WantMessages(t, sub, "handled") // it is the next consumer's
			conn.Want(Puback(1))
			conn.Send(Pub(2, 1, "loop"))
			require.PanicsWithValue(t, "oh", func() {
				for range sub.All(t.Context()) {
					panic("oh")
				}
			})
			require.NoError(t, client.Err())
			end := Begin(client.Close)
			conn.WantDisconnect(wire.NormalDisconnection)
			require.NoError(t, end.Wait())
		})
	}
}
