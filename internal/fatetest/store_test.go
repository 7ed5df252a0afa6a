package fatetest

import (
	"bytes"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// policies say what is stored, and when: rows.
var policies = map[string]func(*outgoing){
	"StoreInterval zero":     func(*outgoing) {},
	"StoreInterval positive": func(o *outgoing) { o.cfg.StoreInterval = time.Minute },
	"StoreInterval negative": func(o *outgoing) { o.cfg.StoreInterval = -1 },
	"NotStored":              func(o *outgoing) { o.message.NotStored = true },
}

// policyColumns are moments at which it matters.
var policyColumns = map[string]struct {
	state string
	event event
}{
	"killed at once, no connection": {"waits for a connection", events["killed"]},
	"killed later, no connection": {"waits for a connection", event{before: events["killed"].before, happen: func(o *outgoing) {
		time.Sleep(2 * time.Minute)
		events["killed"].happen(o)
	}}},
	"killed, waits for PUBACK": {"waits for PUBACK", events["killed"]},
	"Close, no connection":     {"waits for a connection", events["Close"]},
}

// TestStorePolicies provokes each cell of the section of that name.
func TestStorePolicies(t *testing.T) {
	table := document(t)["What is stored"]
	require.NotNil(t, table)
	requireSame(t, table.rows, policies)
	requireSame(t, table.columns, policyColumns)
	for row, policy := range policies {
		for column, c := range policyColumns {
			t.Run(row+"/"+column, func(t *testing.T) {
				t.Parallel()
				for _, version := range []mqtt.Version{mqtt.V5, mqtt.V311} {
					variant{memory: true, version: version, async: true, stored: true}.run(t, "", func(w *world) {
						s := states[c.state]
						s.before = policy
						require.Equal(w, expected(table.cells[row][column], version, 1), provoke(w, mqtt.AtLeastOnce, s, c.event))
					})
				}
			})
		}
	}
}

// troubles are what can be wrong with a Store that has a message: rows. They return what
// the next process opens.
var troubles = map[string]func(*world) (store.Store, error){
	"full": func(w *world) (store.Store, error) {
		w.disk.Break(store.ErrFull)
		return w.disk, nil
	},
	"its disk cannot be written": func(w *world) (store.Store, error) {
		w.disk.Break(errDead)
		return w.disk, nil
	},
	"its disk cannot be read": func(w *world) (store.Store, error) { return unreadable{w.disk}, nil },
	"the record is damaged": func(w *world) (store.Store, error) {
		for r, err := range w.disk.Scan([]byte("Cm")) {
			require.NoError(w, err)
			value := bytes.Clone(r.Value)
			value[len(value)-1] ^= 1
			op := store.Op{Key: bytes.Clone(r.Key), Value: value}
			defer func() { require.NoError(w, w.disk.Commit([]store.Op{op})) }()
		}
		return w.disk, nil
	},
	"not encrypted, and a key is given": func(w *world) (store.Store, error) {
		return store.Encrypt(w.disk, bytes.Repeat([]byte{1}, 32))
	},
	"in use by another process": func(w *world) (store.Store, error) {
		path := filepath.Join(w.TempDir(), "store")
		first, err := bolt.Open(path, bolt.Config{})
		require.NoError(w, err)
		defer first.Close()
		return bolt.Open(path, bolt.Config{})
	},
	"a directory": func(w *world) (store.Store, error) { return bolt.Open(w.TempDir(), bolt.Config{}) },
	"another file": func(w *world) (store.Store, error) {
		path := filepath.Join(w.TempDir(), "store")
		require.NoError(w, os.WriteFile(path, bytes.Repeat([]byte("text"), 10_000), 0o600))
		return bolt.Open(path, bolt.Config{})
	},
}

// unreadable is a Store that cannot be read.
type unreadable struct{ store.Store }

func (unreadable) Scan([]byte) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) { yield(store.Record{}, errDead) }
}

// TestStoresInTrouble provokes each cell of the section of that name.
func TestStoresInTrouble(t *testing.T) {
	table := document(t)["A Store in trouble"]
	require.NotNil(t, table)
	requireSame(t, table.rows, troubles)
	columns := []string{"opening it", "Start", "the message in it", "a new message"}
	require.ElementsMatch(t, table.columns, columns)
	for row, trouble := range troubles {
		for _, version := range []mqtt.Version{mqtt.V5, mqtt.V311} {
			variant{memory: true, version: version, async: true, stored: true}.run(t, row+" ", func(w *world) {
				for i, got := range inTrouble(w, trouble) {
					require.Equal(w, expected(table.cells[row][columns[i]], version, 1), got, columns[i])
				}
			})
		}
	}
}

// inTrouble leaves a message in a Store, and returns how a later process fares.
func inTrouble(w *world, trouble func(*world) (store.Store, error)) []string {
	w.connect()
	w.offline()
	m := message{Topic: "t", Size: 1, QoS: mqtt.AtLeastOnce, Async: true}
	w.process.publish(m)
	w.process.kill()
	s, err := trouble(w)
	if err != nil {
		return []string{nameOf(err), impossible, impossible, impossible}
	}
	cfg := w.cfg
	cfg.Dial, cfg.Store = w.dialer(), s
	client, err := mqtt.Start(w.url(0), cfg)
	if err != nil {
		return []string{"nil", nameOf(err), impossible, impossible}
	}
	defer client.Close()
	w.heal()
	_, fault := client.PublishAsync(w.Context(), &mqtt.Message{Topic: "new", QoS: mqtt.AtLeastOnce})
	time.Sleep(time.Minute)
	synctest.Wait()
	fate := "waits"
	switch {
	case w.traffic.fate(0, false) != "dropped":
		fate = "sent"
	case slices.Contains(prefixes(w, s), "Cz"):
		fate = "set aside"
	}
	return []string{"nil", "nil", fate, nameOf(fault)}
}

// prefixes returns the kinds of records that a Store has.
func prefixes(w *world, s store.Store) (list []string) {
	for r, err := range s.Scan(nil) {
		require.NoError(w, err)
		list = append(list, string(r.Key[:min(2, len(r.Key))]))
	}
	return list
}
