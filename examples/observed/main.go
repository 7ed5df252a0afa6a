// Command observed shows what a service tells Prometheus and OpenTelemetry. Devices publish
// readings, and a handler answers each with a command.
//
//	go -C examples/observed run .                  # prints its spans and figures, and ends
//	go -C examples/observed run . -listen :2112    # serves /metrics until Ctrl-C
//
// The spans go to a writer here. A real service gives the provider an exporter of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/contrib/otelmqtt"
	"github.com/seed65a45251/mqtt/contrib/prommqtt"
	"github.com/seed65a45251/mqtt/match"
)

func main() {
	server := flag.String("server", "", "URL of the server (a broker of this program)")
	listen := flag.String("listen", "", "serve /metrics at this address, and go on until a signal comes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *server, *listen, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run publishes and handles readings, and writes what was observed to w.
func run(ctx context.Context, server, listen string, w io.Writer) error {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(printer{w}))
	defer provider.Shutdown(context.WithoutCancel(ctx))
	telemetry, err := otelmqtt.New(otelmqtt.Config{
		TracerProvider: provider, Propagator: propagation.TraceContext{},
		Template: otelmqtt.Templates(match.MustParsePattern("devices/{id}/{what}")),
	})
	if err != nil {
		return err
	}
	messages := prommqtt.NewMessages(match.MustParsePattern("devices/{id}/{what}"))
	collector := prommqtt.NewCollector()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector, messages)

	config := mqtt.Config{Hooks: []mqtt.Hook{telemetry.Hook(), messages.Hook("observed")}}
	if server == "" {
		b := broker.New(broker.Config{})
		defer b.Close()
		server = "mqtt://memory"
		config.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }
		if err := collector.AddBroker("embedded", b); err != nil {
			return err
		}
	}
	client, err := mqtt.Connect(ctx, server, config)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := collector.AddClient("observed", client); err != nil {
		return err
	}
	if err := work(ctx, client); err != nil {
		return err
	}
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	if listen != "" {
		return serve(ctx, listen, metrics)
	}
	return show(w, metrics)
}

// work publishes readings of devices, of which each is answered with a command. What the
// handler publishes under its context belongs to the trace of the reading.
func work(ctx context.Context, client *mqtt.Client) error {
	const devices = 3
	sub, err := client.Subscribe(ctx, "devices/+/up", mqtt.AtLeastOnce)
	if err != nil {
		return err
	}
	for id := range devices {
		if err := client.Publish(ctx, fmt.Sprintf("devices/%d/up", id), []byte("21.5"), mqtt.AtLeastOnce); err != nil {
			return err
		}
	}
	handling, enough := context.WithCancel(ctx)
	defer enough()
	left := devices
	err = sub.Handle(handling, func(ctx context.Context, m *mqtt.Message) error {
		if left--; left == 0 {
			enough()
		}
		answer := strings.TrimSuffix(m.Topic, "up") + "down"
		return client.Publish(context.WithoutCancel(ctx), answer, []byte("ok"), mqtt.AtLeastOnce)
	})
	if ctx.Err() == nil && errors.Is(err, context.Canceled) {
		err = nil // it was enough
	}
	return err
}

// serve shows the figures over HTTP until ctx ends.
func serve(ctx context.Context, address string, metrics http.Handler) error {
	mux := http.NewServeMux()
	mux.Handle("/metrics", metrics)
	s := &http.Server{Addr: address, Handler: mux}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// show writes the figures that count messages.
func show(w io.Writer, metrics http.Handler) error {
	answer := httptest.NewRecorder()
	metrics.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "mqtt_client_") && strings.Contains(line, "messages_total{") {
			if _, err := io.WriteString(w, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// printer writes a line for each span.
type printer struct{ w io.Writer }

// ExportSpans writes the spans.
func (p printer) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		within := "a trace of its own"
		if s.Parent().IsValid() {
			within = "within another span"
		}
		if _, err := fmt.Fprintf(p.w, "%s %s: %s, %d links\n", s.SpanKind(), s.Name(), within, len(s.Links())); err != nil {
			return err
		}
	}
	return nil
}

// Shutdown does nothing.
func (printer) Shutdown(context.Context) error { return nil }
