package fuzztest

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/store"
)

// FuzzClientStore takes the Store of a client at some moment, as a crash would leave it,
// damages its records and gives it to the next client. That is refused with a clear error,
// or works: it sends nothing that nobody has published, and the one after it starts, too.
func FuzzClientStore(f *testing.F) {
	for kind := range byte(5) {
		for at := range byte(6) {
			f.Add([]byte{kind, at, 20, 0xff}, []byte("\x00\x02\x00\x01\x00\x00\x00\x00\x00\x01\x01\x09\x02\x00\x01\x00\x01\x00"))
		}
	}
	f.Fuzz(func(t *testing.T, damages, script []byte) {
		if len(damages) > 40 || len(script) > 500 {
			return
		}
		synctest.Test(t, func(t *testing.T) { inherit(t, damages, NewChoices(script)) })
	})
}

func inherit(t *testing.T, damages []byte, c *Choices) {
	first, records := newWorld(t), store.Memory()
	first.cfg.Store, first.cfg.StoreSubscriptions = records, c.Bool()
	first.cfg.Version = Pick(c, mqtt.V5, mqtt.V311, mqtt.V31)
	first.start()
	for i := 0; i < most/2 && c.More() && !t.Failed(); i++ {
		first.server.allow(20)
		clientStep(c, first)
		synctest.Wait()
	}
	left := cloned(t, records)
	first.end()
	damage(t, NewChoices(damages), left)

	for range 2 {
		next := newWorld(t)
		next.cfg.Store, next.cfg.Version, next.cfg.StoreSubscriptions = left, first.cfg.Version, first.cfg.StoreSubscriptions
		for payload, m := range first.server.published {
			next.server.published[payload] = &message{topic: m.topic, qos: m.qos}
		}
		if !next.mayStart() {
			return
		}
		for m := range next.program.client.Pending() {
			if next.server.published[string(m.Payload)] == nil {
				t.Errorf("%.40q is pending, and nobody has published it", m.Payload)
			}
		}
		next.heal()
		next.end()
		damages = nil
	}
}

// mayStart starts a client, if its Store can be used.
func (w *world) mayStart() bool {
	client, err := mqtt.Start("mqtt://10.0.0.1", w.cfg)
	if err == nil {
		w.run(client)
		return true
	}
	if text := err.Error(); !errors.Is(err, mqtt.ErrStore) || !strings.HasPrefix(text, "mqtt: ") || len(text) > 400 {
		w.t.Errorf("a damaged Store was refused as %v", err)
	}
	return false
}

// FuzzBrokerStore damages the records that a broker has left. The next one refuses them,
// or serves, and so does the one after it.
func FuzzBrokerStore(f *testing.F) {
	for kind := range byte(5) {
		for at := range byte(6) {
			f.Add([]byte{kind, at, 20, 0xff}, []byte("\x00\x00\x01\x06\x07\x00\x00\x00\x00\x03\x00\x01\x00\x00\x00\x02\x00\x00\x01\x00\x00\x00\x01\x06\x00\x01\x09\x00\x02\x0b\x05\x00"))
		}
	}
	f.Fuzz(func(t *testing.T, damages, script []byte) {
		if len(damages) > 40 || len(script) > 500 {
			return
		}
		synctest.Test(t, func(t *testing.T) { reopen(t, damages, NewChoices(script)) })
	})
}

func reopen(t *testing.T, damages []byte, c *Choices) {
	records := store.Memory()
	cfg := brokerConfig(t, c)
	cfg.Store = records
	h := openHouse(t, cfg)
	for i := 0; i < most/2 && c.More() && !t.Failed(); i++ {
		h.step(c)
		synctest.Wait()
	}
	h.leave()
	damage(t, NewChoices(damages), records)
	for range 2 {
		b, err := broker.Open(cfg)
		if err != nil {
			if wrong, ok := errors.AsType[*broker.RecordError](err); !ok || len(wrong.Key) == 0 || len(err.Error()) > 400 {
				t.Errorf("damaged records were refused as %v", err)
			}
			return
		}
		h := &house{t: t, broker: b}
		h.moveIn()
		h.tell(mqtt.ExactlyOnce)
		h.leave()
	}
}

// cloned returns a copy of all records.
func cloned(t *testing.T, s store.Store) *store.Mem {
	copied := store.Memory()
	if err := copied.Commit(recordsOf(t, s)); err != nil {
		t.Error(err)
	}
	return copied
}

func recordsOf(t *testing.T, s store.Store) (all []store.Op) {
	for r, err := range s.Scan(nil) {
		if err != nil {
			t.Error(err)
			break
		}
		all = append(all, store.Op{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)})
	}
	return all
}

// damage changes records of s: bits of them, their ends, their keys; and adds others.
func damage(t *testing.T, c *Choices, s store.Store) {
	for c.More() {
		all := recordsOf(t, s)
		if len(all) == 0 {
			return
		}
		how, r := c.N(5), all[c.N(len(all))%len(all)]
		ops := []store.Op{r}
		at := c.N(256) % max(len(r.Value), 1)
		switch value := r.Value; {
		case how == 0 && len(value) > 0:
			value[at] ^= 1 + c.Byte()&0x7f
		case how == 1:
			ops[0].Value = value[:min(at, len(value))]
		case how == 2:
			ops[0].Delete = true
		case how == 3:
			ops[0].Key[at%len(r.Key)] ^= 1 + c.Byte()&0x7f // a copy under another key
		default:
			ops[0].Value = append(value, c.Bytes(16)...)
		}
		if err := s.Commit(ops); err != nil {
			t.Error(err)
		}
	}
}
