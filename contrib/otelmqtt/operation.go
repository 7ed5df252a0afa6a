package otelmqtt

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/seed65a45251/mqtt"
)

var system = semconv.MessagingSystemKey.String("mqtt")

// operation is what spans and metrics of one message have in common.
type operation struct {
	name     string
	kind     attribute.KeyValue // messaging.operation.type
	template string             // "": there is none
	group    string             // of a shared subscription
	err      string             // error.type; "": none
	server   *server
}

// span returns the name of the span.
func (o *operation) span() string {
	if o.template == "" {
		return o.name
	}
	return o.name + " " + o.template
}

// failed notes why the operation has failed; nil: it has not.
func (o *operation) failed(err error) {
	if err != nil {
		o.err = errorType(err)
	}
}

// errorType returns the name of a kind of errors.
func errorType(err error) string {
	if _, ok := errors.AsType[*mqtt.ResponseError](err); ok {
		return "response_error"
	}
	for _, known := range [...]struct {
		err  error
		name string
	}{
		{context.Canceled, "canceled"}, {context.DeadlineExceeded, "timeout"},
		{mqtt.ErrExpired, "expired"}, {mqtt.ErrQueueFull, "queue_full"}, {mqtt.ErrUndeliverable, "undeliverable"},
		{mqtt.ErrSessionLost, "session_lost"}, {mqtt.ErrNotConnected, "not_connected"},
		{mqtt.ErrConnectionLost, "connection_lost"}, {mqtt.ErrClosed, "client_closed"}, {mqtt.ErrInvalid, "invalid"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	if code, ok := errors.AsType[mqtt.ReasonCode](err); ok {
		return strings.ToLower(strings.ReplaceAll(code.String(), " ", "_"))
	}
	return semconv.ErrorType(err).Value.AsString()
}

// conversation makes text of correlation data.
func conversation(data []byte) string { return hex.EncodeToString(data) }

// server has the attributes of a server.
type server struct {
	address string
	port    int
	common  []attribute.KeyValue // of spans and metrics
	peer    []attribute.KeyValue // of spans
}

type serverKey struct{ url, address string }

// server returns that of the connection.
func (t *Telemetry) server(info *mqtt.ServerInfo) *server {
	return t.servers.get(serverKey{info.Server, info.Address}, newServer)
}

func newServer(k serverKey) *server {
	s := new(server)
	if u, err := url.Parse(k.url); err == nil {
		s.address = u.Hostname()
		if s.address == "" {
			s.address = u.Path // of a Unix socket
		}
		s.port, _ = strconv.Atoi(u.Port())
	}
	host, port, err := net.SplitHostPort(k.address)
	if err != nil {
		host = k.address
	}
	number, _ := strconv.Atoi(port)
	if s.port == 0 {
		s.port = number // the default of the scheme, or what SRV records say
	}
	if s.address != "" {
		s.common = append(s.common, semconv.ServerAddress(s.address))
		if s.port != 0 {
			s.common = append(s.common, semconv.ServerPort(s.port))
		}
	}
	if host != "" {
		s.peer = append(s.peer, semconv.NetworkPeerAddress(host))
		if number != 0 {
			s.peer = append(s.peer, semconv.NetworkPeerPort(number))
		}
	}
	return s
}

// measurement has the attributes of a measurement, as an instrument takes them.
type measurement struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

type measurementKey struct {
	name, template, group, err string
	address                    string
	port                       int
}

// measurement returns the attributes for metrics of o.
func (t *Telemetry) measurement(o *operation) *measurement {
	k := measurementKey{o.name, o.template, o.group, o.err, o.server.address, o.server.port}
	return t.measurements.get(k, func(measurementKey) *measurement {
		all := append([]attribute.KeyValue{system, semconv.MessagingOperationName(o.name), o.kind}, o.server.common...)
		for key, value := range map[attribute.Key]string{
			semconv.MessagingDestinationTemplateKey: o.template,
			semconv.MessagingConsumerGroupNameKey:   o.group,
			semconv.ErrorTypeKey:                    o.err,
		} {
			if value != "" {
				all = append(all, key.String(value))
			}
		}
		set := metric.WithAttributeSet(attribute.NewSet(all...))
		return &measurement{[]metric.AddOption{set}, []metric.RecordOption{set}}
	})
}

// bounded keeps what was made for keys, up to a number of them that programs do not reach
// which keep the names of templates few.
type bounded[K comparable, V any] struct {
	mu   sync.RWMutex
	made map[K]V
}

const mostKept = 1000

func (b *bounded[K, V]) get(k K, create func(K) V) V {
	b.mu.RLock()
	v, ok := b.made[k]
	b.mu.RUnlock()
	if ok {
		return v
	}
	v = create(k)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.made == nil {
		b.made = make(map[K]V)
	}
	if len(b.made) < mostKept {
		b.made[k] = v
	}
	return v
}
