package pub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
)

const (
	window = 1024 // deliveries that wait to be looked at, before reading waits
	told   = 10   // failures that are told each; the rest is counted
	grace  = 5 * time.Second
)

// deliveries waits for what was published, in order, and counts what has failed.
type deliveries struct {
	connection *target.Flags
	out        io.Writer
	verbose    bool
	queue      chan delivery
	done       chan struct{}
	ended      context.Context // ends after the time that is left for acknowledgements
	cancel     context.CancelCauseFunc

	mu     sync.Mutex
	total  int
	errors int
	first  error
	left   int   // those of which nothing is known
	why    error // of the first of them
}

type delivery struct {
	message *mqtt.Message
	*mqtt.Delivery
}

// watchDeliveries begins. When a signal ends ctx, acknowledgements have a few seconds
// more; at the end of --timeout they have none.
func watchDeliveries(ctx context.Context, out io.Writer, connection *target.Flags, verbose bool) *deliveries {
	w := &deliveries{
		connection: connection, out: out, verbose: verbose,
		queue: make(chan delivery, window), done: make(chan struct{}),
	}
	w.ended, w.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		cause := context.Cause(ctx)
		if errors.Is(cause, context.DeadlineExceeded) {
			w.cancel(cause)
			return
		}
		time.AfterFunc(grace, func() { w.cancel(cause) })
	})
	go w.run()
	return w
}

// add takes a delivery to wait for.
func (w *deliveries) add(m *mqtt.Message, d *mqtt.Delivery) { w.queue <- delivery{m, d} }

func (w *deliveries) run() {
	defer close(w.done)
	for d := range w.queue {
		ack, err := d.Wait(w.ended)
		if err != nil {
			w.unfinished(err)
			continue
		}
		w.mu.Lock()
		w.total++
		w.mu.Unlock()
		if w.verbose {
			fmt.Fprintln(w.out, describe(d.message, ack))
		}
	}
}

// describe says what became of a message that has arrived.
func describe(m *mqtt.Message, ack mqtt.Ack) string {
	topic := output.Clean(m.Topic, false)
	if m.QoS == mqtt.AtMostOnce {
		return topic + ": sent"
	}
	text := []string{fmt.Sprintf("%s: %s (0x%02X)", topic, ack.ReasonCode.String(), byte(ack.ReasonCode))}
	if ack.ReasonString != "" {
		text = append(text, output.Clean(ack.ReasonString, false))
	}
	for _, p := range ack.UserProperties {
		text = append(text, output.Clean(p.Name+"="+p.Value, false))
	}
	return strings.Join(text, ", ")
}

// unfinished counts a message that was not acknowledged. Where only the wait for it has
// ended, or the client, nothing is known of it, and with a store it is still there.
func (w *deliveries) unfinished(err error) {
	if w.ended.Err() == nil && !errors.Is(err, mqtt.ErrClosed) {
		w.failed(err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total++
	if w.left++; w.left == 1 {
		w.why = err
	}
}

// failed counts a message that was not published.
func (w *deliveries) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total++
	if w.errors++; w.errors == 1 {
		w.first = err
		return
	}
	if w.errors <= told {
		w.connection.Note("%s", strings.TrimPrefix(err.Error(), "mqtt: "))
	}
}

// wait returns when all is acknowledged or has failed.
func (w *deliveries) wait() error {
	close(w.queue)
	<-w.done
	defer w.cancel(nil)
	switch {
	case w.left > 0 && w.errors == 0:
		code := exit.Code(w.why)
		if cause := context.Cause(w.ended); cause != nil {
			code = exit.Code(cause)
		}
		return exit.With(code, fmt.Errorf("%d of %d messages are not acknowledged: %w", w.left, w.total, w.why))
	case w.errors == 0:
		return nil
	case w.total == 1:
		return w.first
	}
	code := exit.Code(w.first)
	return exit.With(code, fmt.Errorf("%d of %d messages failed; the first: %w", w.errors, w.total, w.first))
}
