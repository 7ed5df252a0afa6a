package chaostest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed65a45251/mqtt"
)

// worker makes calls of a client, one after the other.
type worker struct {
	client *mqtt.Client
	url    string
	cfg    mqtt.Config // of the client
	rng    *rand.Rand
}

// operations are all that a client can do, but for its end. Each returns soon after its
// context has ended, and leaves nothing.
var operations = map[string]func(*worker, context.Context) error{
	"Publish":            (*worker).publish,
	"Publish, retained":  (*worker).publishRetained,
	"Publish, NotQueued": (*worker).publishNow,
	"PublishAsync":       (*worker).publishAsync,
	"Next":               (*worker).next,
	"All":                (*worker).all,
	"Stream":             (*worker).stream,
	"Messages, Drain":    (*worker).messages,
	"Handle":             (*worker).handle,
	"HandleBatches":      (*worker).handleBatches,
	"Client.Handle, Mux": (*worker).mux,
	"OwnConnection":      (*worker).ownConnection,
	"ManualAck":          (*worker).manualAck,
	"Request, Respond":   (*worker).request,
	"Once":               (*worker).once,
	"Ping":               func(w *worker, ctx context.Context) error { _, err := w.client.Ping(ctx); return err },
	"Flush":              func(w *worker, ctx context.Context) error { return w.client.Flush(ctx) },
	"WaitConnected":      func(w *worker, ctx context.Context) error { return w.client.WaitConnected(ctx) },
	"Reconnect":          (*worker).reconnect,
	"Watch":              (*worker).watch,
}

// topic is one of a few, and sometimes one of many.
func (w *worker) topic() string {
	if w.rng.IntN(8) == 0 {
		return fmt.Sprintf("soak/%d/%d", w.rng.IntN(3), w.rng.IntN(100))
	}
	return fmt.Sprintf("soak/%d", w.rng.IntN(3))
}

func (w *worker) message() *mqtt.Message {
	size := w.rng.IntN(300)
	if w.rng.IntN(50) == 0 {
		size = w.rng.IntN(50_000)
	}
	m := &mqtt.Message{Topic: w.topic(), Payload: make([]byte, size), QoS: mqtt.QoS(w.rng.IntN(3))}
	if w.rng.IntN(4) == 0 && w.cfg.Version == mqtt.V5 {
		m.MessageExpiryInterval = new(time.Duration(1+w.rng.IntN(3)) * time.Second)
		m.UserProperties = []mqtt.UserProperty{{Name: "n", Value: fmt.Sprint(w.rng.IntN(10))}}
	}
	return m
}

func (w *worker) publish(ctx context.Context) error {
	for range 1 + w.rng.IntN(10) {
		if err := w.client.PublishMessage(ctx, w.message()); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) publishRetained(ctx context.Context) error {
	m := w.message()
	m.Retain = true
	if w.rng.IntN(2) == 0 {
		m.Payload = nil // which deletes it
	}
	return w.client.PublishMessage(ctx, m)
}

func (w *worker) publishNow(ctx context.Context) error {
	m := w.message()
	m.NotQueued = true
	return w.client.PublishMessage(ctx, m)
}

func (w *worker) publishAsync(ctx context.Context) error {
	var last *mqtt.Delivery
	for range 1 + w.rng.IntN(20) {
		d, err := w.client.PublishAsync(ctx, w.message())
		if err != nil {
			return err
		}
		last = d
	}
	_, err := last.Wait(ctx)
	return err
}

// options are those of a Subscription to some topic, shared by workers or not.
func (w *worker) options() mqtt.SubscribeOptions {
	filter := []string{"soak/0", "soak/+", "soak/1/#", "$share/g/soak/2"}[w.rng.IntN(4)]
	return mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: filter, QoS: mqtt.QoS(w.rng.IntN(3))}}, Concurrency: w.rng.IntN(3)}
}

// subscribed subscribes, has f use the Subscription, and unsubscribes.
func (w *worker) subscribed(ctx context.Context, o mqtt.SubscribeOptions, f func(*mqtt.Subscription) error) error {
	sub, err := w.client.SubscribeWith(ctx, o)
	if err != nil {
		return err
	}
	err = f(sub)
	return worse(err, sub.Unsubscribe(ctx))
}

func (w *worker) next(ctx context.Context) error {
	return w.subscribed(ctx, w.options(), func(sub *mqtt.Subscription) error {
		for range 10 {
			if _, err := sub.Next(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *worker) all(ctx context.Context) error {
	return w.subscribed(ctx, w.options(), func(sub *mqtt.Subscription) error {
		n := 0
		for _, err := range sub.All(ctx) {
			if n++; n == 10 || err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *worker) stream(ctx context.Context) error {
	return w.subscribed(ctx, w.options(), func(sub *mqtt.Subscription) error {
		limited, cancel := context.WithCancel(ctx)
		defer cancel()
		n := 0
		for range sub.Stream(limited) {
			if n++; n == 10 {
				cancel()
			}
		}
		return nil
	})
}

func (w *worker) messages(ctx context.Context) error {
	sub, err := w.client.SubscribeWith(ctx, w.options())
	if err != nil {
		return err
	}
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		for range sub.Messages() {
		}
	}()
	pause(ctx, w.rng, 100*time.Millisecond)
	if err = sub.Drain(ctx); err != nil {
		err = worse(err, sub.Unsubscribe(ctx))
	}
	<-taken
	return err
}

// handle fails after some messages.
func (w *worker) handle(ctx context.Context) error {
	return w.subscribed(ctx, w.options(), func(sub *mqtt.Subscription) error {
		enough := make(chan struct{}, 10)
		return sub.Handle(ctx, func(context.Context, *mqtt.Message) error {
			select {
			case enough <- struct{}{}:
				return nil
			default:
				return errEnough
			}
		})
	})
}

var errEnough = errors.New("enough")

func (w *worker) handleBatches(ctx context.Context) error {
	o := w.options()
	o.Concurrency = 0
	return w.subscribed(ctx, o, func(sub *mqtt.Subscription) error {
		n := 0
		return sub.HandleBatches(ctx, mqtt.BatchOptions{Messages: 5, Wait: 10 * time.Millisecond}, func(context.Context, []*mqtt.Message) error {
			if n++; n > 3 {
				return errEnough
			}
			return nil
		})
	})
}

// mux handles messages until its context ends, and has finished all that it was given.
func (w *worker) mux(ctx context.Context) error {
	nothing := func(context.Context, *mqtt.Message) error { return nil }
	m, err := mqtt.NewMux(mqtt.MuxHandler{Pattern: "soak/{n}", QoS: 2, Handle: nothing}, mqtt.MuxHandler{Pattern: "soak/{n}/{k}", Handle: nothing})
	if err != nil {
		return err
	}
	return w.client.Handle(ctx, mqtt.SubscribeOptions{Filters: m.Filters(), Lend: w.rng.IntN(2) == 0}, m.Handle)
}

func (w *worker) ownConnection(ctx context.Context) error {
	o := w.options()
	o.OwnConnection = true
	return w.subscribed(ctx, o, func(sub *mqtt.Subscription) error {
		_, err := sub.Next(ctx)
		return err
	})
}

func (w *worker) manualAck(ctx context.Context) error {
	o := w.options()
	o.ManualAck = true
	return w.subscribed(ctx, o, func(sub *mqtt.Subscription) error {
		for i := range 6 {
			m, err := sub.Next(ctx)
			if err != nil {
				return err
			}
			if i%3 == 2 {
				err = m.Refuse(mqtt.QuotaExceeded, "enough")
			} else {
				err = m.Ack()
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// request has the client answer requests, and sends it one.
func (w *worker) request(ctx context.Context) error {
	// A request that is left unanswered where the session stays waits for the next
	// responder to its topic.
	topic := fmt.Sprint("request/", w.rng.IntN(2))
	responding, cancel := context.WithCancel(ctx)
	began := make(chan struct{})
	over := make(chan error, 1)
	go func() {
		o := mqtt.RespondOptions{SubscribeOptions: mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: topic, QoS: 1}},
			Subscribed: func(*mqtt.Subscription) { close(began) }}}
		over <- w.client.RespondWith(responding, o, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			return &mqtt.Message{Payload: m.Payload, Topic: topic + "/response"}, nil
		})
	}()
	var err error
	select {
	case <-began:
		m := &mqtt.Message{Topic: topic, QoS: mqtt.AtLeastOnce}
		if w.cfg.Version != mqtt.V5 {
			m.ResponseTopic = topic + "/response"
		}
		_, err = w.client.Request(ctx, m)
	case <-ctx.Done():
	}
	cancel()
	return worse(err, <-over)
}

// once uses clients that live for one call.
func (w *worker) once(ctx context.Context) error {
	cfg := mqtt.Config{Version: w.cfg.Version, Reconnect: w.cfg.Reconnect, RetryFirst: true, ConnectTimeout: w.cfg.ConnectTimeout}
	if w.rng.IntN(2) == 0 {
		return mqtt.PublishOnce(ctx, w.url, cfg, w.message())
	}
	_, err := mqtt.ReceiveOnce(ctx, w.url, cfg, "soak/#", 1)
	return err
}

func (w *worker) reconnect(ctx context.Context) error {
	if w.rng.IntN(5) > 0 {
		return nil
	}
	return w.client.Reconnect(ctx)
}

func (w *worker) watch(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	for range w.client.Watch(limited) {
		_ = w.client.Stats()
		_ = w.client.ServerInfo()
	}
	return nil
}

// worse returns the first of two errors, unless it is tolerable.
func worse(first, second error) error {
	if tolerable(first) {
		return second
	}
	return first
}

// tolerable lets the errors pass that calls may end with while networks break and clients
// end.
func tolerable(err error) bool {
	for _, known := range []error{nil, mqtt.ErrClosed, mqtt.ErrUnsubscribed, mqtt.ErrExpired, mqtt.ErrStale, context.Canceled, errEnough} {
		if errors.Is(err, known) {
			return true
		}
	}
	return expected(err) == nil
}
