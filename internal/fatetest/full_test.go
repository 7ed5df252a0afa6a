package fatetest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// queued are the messages of which one is looked at, by their rows, in their order. The
// queue has room for all but the last.
var queued = []string{"waits, another class", "waits longest", "waits since then", "the new one"}

// full is what the client does with a message for which there is no room: a column.
type full struct {
	policy    mqtt.FullPolicy
	notQueued bool // the new one says so
	age       bool // Config.QueueAge ends
}

var fullColumns = map[string]full{
	"FullBlock":                  {policy: mqtt.FullBlock},
	"FullFail":                   {policy: mqtt.FullFail},
	"FullDropOldest":             {policy: mqtt.FullDropOldest},
	"FullDropNewest":             {policy: mqtt.FullDropNewest},
	"FullKeepLatest":             {policy: mqtt.FullKeepLatest},
	"FullBlock, NotQueued":       {policy: mqtt.FullBlock, notQueued: true},
	"FullBlock, QueueAge passes": {policy: mqtt.FullBlock, age: true},
}

// TestFullQueue provokes each cell of the section of that name.
func TestFullQueue(t *testing.T) {
	table := document(t)["A full queue"]
	require.NotNil(t, table)
	require.ElementsMatch(t, table.rows, queued)
	requireSame(t, table.columns, fullColumns)
	for column, f := range fullColumns {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			for _, v := range variants() {
				if !v.async || f.age && !v.memory {
					continue
				}
				for _, class := range []mqtt.QoS{0, 1, 2} {
					v.run(t, "QoS "+string('0'+rune(class))+" ", func(w *world) {
						got := w.fill(class, f)
						for i, row := range queued {
							require.Equal(w, expected(table.cells[row][column], v.version, class), got[i], row)
						}
					})
				}
			}
		})
	}
}

// fill makes the queue overflow and returns what becomes of each message.
func (w *world) fill(class mqtt.QoS, f full) (fates []string) {
	other := mqtt.AtLeastOnce
	if class > 0 {
		other = mqtt.AtMostOnce
	}
	w.cfg.QueueMessages = len(queued) - 1
	w.cfg.WhenFull = mqtt.WhenFull{AtMostOnce: f.policy, Acknowledged: f.policy}
	if f.age {
		w.cfg.QueueAge = time.Second
	}
	w.connect()
	w.offline()
	var calls []*call
	for i, row := range queued {
		m := message{Topic: "q/" + row, Size: i + 1, QoS: class, Async: true}
		switch i {
		case 0:
			m.QoS = other
		case len(queued) - 1:
			m.Topic = "q/waits since then" // what it is said to take the place of
			m.NotQueued, m.Blocked = f.notQueued, true
		}
		calls = append(calls, w.process.publish(m))
	}
	if f.age {
		time.Sleep(3 * time.Second)
	}
	w.heal()
	for _, c := range calls {
		w.over(c)
	}
	w.settle()
	w.client.Close() // waits until Undelivered has been told
	for i, c := range calls {
		fate := "dropped, "
		if w.traffic.sent(i + 1) {
			fate = "sent, "
		}
		fate += nameOf(c.err)
		if slices.Contains(w.told(), i+1) {
			fate += ", told"
		}
		fates = append(fates, fate)
	}
	return fates
}

// sent reports whether the client has sent a message with a payload of that size.
func (r *traffic) sent(size int) bool {
	return slices.ContainsFunc(r.since(0), func(p passed) bool {
		m, ok := p.Packet.(*wire.Publish)
		return ok && p.direction == mqtttest.Up && m.Topic != "last" && len(m.Payload) == size
	})
}
