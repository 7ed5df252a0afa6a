package fuzztest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed65a45251/mqtt"
)

// FuzzConfig gives Start any configuration. It refuses it with a clear error and without
// dialling, or the client connects to a good server, publishes and subscribes.
func FuzzConfig(f *testing.F) {
	for i := range byte(60) { // each field once
		f.Add([]byte{2, i, 3, i + 1, 5, 1, i, 7})
		f.Add([]byte{1, i, 0, 0, i, 9, 9})
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 300 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			c := NewChoices(script)
			w := newWorld(t)
			for range 1 + c.N(3) {
				c.Fill(&w.cfg)
			}
			w.cfg.Proxy, w.cfg.LocalAddr = "", "" // for sockets only
			w.configured()
		})
	})
}

// configured starts a client with w.cfg.
func (w *world) configured() {
	client, err := mqtt.Start("mqtt://10.0.0.1", w.cfg)
	if err != nil {
		text := err.Error()
		if !errors.Is(err, mqtt.ErrInvalid) || !strings.HasPrefix(text, "mqtt: ") || len(text) > 400 || client != nil || len(w.server.dials()) > 0 {
			w.t.Errorf("refused as %v, and dialled %v", err, w.server.dials())
		}
		return
	}
	w.server.allow(10_000)
	w.program = &program{client: client}
	ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	defer cancel()
	if err := client.WaitConnected(ctx); err != nil {
		w.t.Errorf("the configuration was accepted and does not connect: %v", err)
	} else {
		w.use(ctx)
	}
	begun := time.Now()
	client.Close()
	if took := time.Since(begun); took > instant {
		w.t.Errorf("Close took %v", took)
	}
	w.server.hangUp()
}

// use publishes and subscribes. Config may have forbidden it.
func (w *world) use(ctx context.Context) {
	client, payload := w.program.client, []byte("m")
	w.server.mu.Lock()
	w.server.published["m"] = &message{topic: "a", qos: mqtt.AtLeastOnce}
	w.server.mu.Unlock()
	_, limited := errors.AsType[*mqtt.LimitError](client.Publish(ctx, "a", payload, mqtt.AtMostOnce))
	if limited {
		w.t.Error("QoS 0 is beyond a limit")
	}
	err := client.Publish(ctx, "a", payload, mqtt.AtLeastOnce)
	_, limited = errors.AsType[*mqtt.LimitError](err)
	slow := w.cfg.PublishRate != mqtt.PublishRate{} && errors.Is(err, context.DeadlineExceeded)
	expired := w.cfg.QueueAge > 0 && errors.Is(err, mqtt.ErrExpired)
	if err != nil && !slow && !expired && !(limited && w.cfg.MaximumQoS != nil) {
		w.t.Errorf("publish: %v", err)
	}
	if _, err := client.Subscribe(ctx, "a", mqtt.AtMostOnce); err != nil {
		w.t.Errorf("subscribe: %v", err)
	}
}
