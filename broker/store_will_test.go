package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// A will survives a crash where its session does, whatever happened to it before, and
// whatever its client does after.
func TestWillsAndCrashes(t *testing.T) {
	comesBack := func(w *world, p *wire.Connect) {
		_, ack := join(w.t, w.broker, wire.V5, p)
		require.True(w.t, p.CleanStart || ack.SessionPresent)
	}
	for name, test := range map[string]struct {
		before, after func(w *world, s *script)
		want          string // payload of the will
		later         bool   // a hundred seconds
	}{
		"connected":           {want: "gone", later: true},
		"connection was lost": {before: func(_ *world, s *script) { s.cut() }, want: "gone", later: true},
		"disconnect with will": {
			before: func(_ *world, s *script) {
				s.send(&wire.Disconnect{ReasonCode: wire.DisconnectWithWill})
				s.closed()
			},
			want: "gone", later: true,
		},
		"disconnect": {before: func(_ *world, s *script) { s.send(&wire.Disconnect{}); s.closed() }},
		"disconnect that ends the session": {before: func(_ *world, s *script) {
			s.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
			s.closed()
		}},
		"resumed without will": {before: func(w *world, _ *script) {
			comesBack(w, &wire.Connect{ClientID: "c", SessionExpiryInterval: 600})
		}},
		"resumed with another will": {
			before: func(w *world, _ *script) {
				p := willing("c", 100, 600)
				p.Will.Payload = []byte("another")
				comesBack(w, p)
			},
			want: "another", later: true,
		},
		"comes back in time": {after: func(w *world, _ *script) {
			comesBack(w, &wire.Connect{ClientID: "c", SessionExpiryInterval: 600})
		}},
		"comes back clean": {
			after: func(w *world, _ *script) { comesBack(w, &wire.Connect{ClientID: "c", CleanStart: true}) },
			want:  "gone",
		},
		"released":              {after: func(w *world, _ *script) { require.True(w.t, w.broker.Release("c")) }, want: "gone"},
		"released before":       {before: func(w *world, _ *script) { require.True(w.t, w.broker.Release("c")) }, want: "gone"},
		"a crash after a crash": {after: func(w *world, _ *script) { advance(10 * time.Second); w.kill() }, want: "gone", later: true},
	} {
		t.Run(name, func(t *testing.T) {
			survives(t, func(t *testing.T, w *world) {
				watchWills(t, w.broker).net.Close()
				s, _ := join(t, w.broker, wire.V5, willing("c", 100, 600))
				if test.before != nil {
					test.before(w, s)
				}
				advance(time.Second)
				w.kill()
				if test.after != nil {
					test.after(w, s)
				}
				watcher := watchWills(t, w.broker)
				if test.later {
					watcher.idle()
				}
				advance(2 * clockInterval)
				if test.want != "" {
					require.Equal(t, test.want, string(receiveAs(watcher).Payload))
				}
				advance(1000 * time.Second)
				watcher.idle()
			})
		})
	}
}

func TestWillsBefore5SurviveACrash(t *testing.T) {
	for _, v := range []wire.Version{wire.V31, wire.V311} {
		survives(t, func(t *testing.T, w *world) {
			watchWills(t, w.broker).net.Close()
			p := durableConnect(v, "c")
			p.Will = &wire.Will{Topic: "will/c", Payload: []byte("gone"), QoS: 1, Retain: true}
			join(t, w.broker, v, p)
			watcher := watchWills(t, w.kill())
			require.Equal(t, "gone", string(receiveAs(watcher).Payload))
			watcher.idle()
			require.Equal(t, 1, w.broker.Stats().Retained)
			advance(time.Second) // the acknowledgement is written when there is time
			w.kill()
			require.Equal(t, 1, w.broker.Stats().Retained)
			watchWills(t, w.broker).idle() // once
		})
	}
}
