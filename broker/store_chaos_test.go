package broker

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// Clients come and go, the broker crashes at any Commit, again and again. Every
// subscriber gets everything in the order of its publisher, at QoS 2 once.
func TestChaosWithCrashes(t *testing.T) {
	for seed := range uint64(40) {
		for _, flaky := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) { chaos(t, rand.New(rand.NewPCG(seed, 1)), flaky) })
			if t.Failed() {
				t.Fatalf("seed %d, flaky: %v", seed, flaky)
			}
		}
	}
}

func chaos(t *testing.T, random *rand.Rand, flaky bool) {
	anyCrash := func() crash { return crash{1 + random.IntN(20), random.IntN(2) == 0} }
	w := newWorld(t, crash{})
	versions := []wire.Version{wire.V311, wire.V5}
	var subscribers, publishers []*actor
	for i, qos := range []wire.QoS{2, 1, 2} {
		subscribers = append(subscribers, w.actor(versions[i%2], fmt.Sprint("s", i), filter("t/+/+", qos), filter("t/0/#", 1)))
	}
	w.until(crash{}, func() bool {
		for _, s := range subscribers {
			if s.filters != nil {
				return false
			}
		}
		return true
	})
	for i := range 3 {
		publishers = append(publishers, w.actor(versions[i%2], fmt.Sprint("p", i)))
	}
	if flaky {
		w.flaky = rand.New(rand.NewPCG(random.Uint64(), 2))
	}
	w.restart(anyCrash())
	counts := make([][3]int, len(publishers)) // published, by QoS
	for range 150 {
		switch random.IntN(6) {
		case 0:
			w.actors[random.IntN(len(w.actors))].cut()
		case 1, 2:
			i, qos := random.IntN(len(publishers)), wire.QoS(1+random.IntN(2))
			publishers[i].publish(wire.Publish{
				Topic: fmt.Sprintf("t/%d/%d", i, qos), Payload: strconv.AppendInt(nil, int64(counts[i][qos]), 10), QoS: qos,
			})
			counts[i][qos]++
		}
		synctest.Wait()
		if w.hasCrashed() {
			w.restart(anyCrash())
		}
		w.actors[random.IntN(len(w.actors))].step()
	}
	w.until(crash{}, func() bool {
		for i, p := range publishers {
			if len(p.done) < counts[i][1]+counts[i][2] {
				return false
			}
		}
		return true
	})
	w.flaky = nil
	w.restart(crash{})
	for range 60 {
		synctest.Wait()
		for _, a := range w.actors {
			a.step()
		}
	}
	advance(time.Second)
	require.Zero(t, w.records(records.MessageKind, records.QueuedKind, records.IdentifierKind))
	for i, s := range subscribers {
		wantAll(t, s, []wire.QoS{2, 1, 2}[i], accepted(publishers), publishers, flaky)
	}
}

// accepted returns the payloads by topic that the broker has not refused, in order.
func accepted(publishers []*actor) map[string][]string {
	all := map[string][]string{}
	for _, p := range publishers {
		slices.SortFunc(p.done, func(a, b *session.Outgoing) int { return cmp.Compare(a.Seq(), b.Seq()) })
		for _, o := range p.done {
			if o.Result().Err == nil || doubtful(o) {
				all[o.Publish.Topic] = append(all[o.Publish.Topic], string(o.Publish.Payload))
			}
		}
	}
	return all
}

// wantAll checks that s got all messages in order, and at QoS 2 once.
func wantAll(t *testing.T, s *actor, granted wire.QoS, want map[string][]string, publishers []*actor, flaky bool) {
	mayRepeat := map[string]bool{} // before 5.0 a CONNACK that gets lost leaves doubt
	for i, p := range publishers {
		mayRepeat[fmt.Sprintf("t/%d/2", i)] = p.version < wire.V5
	}
	got := map[string][]string{}
	for _, p := range s.got {
		before := got[p.Topic]
		if (p.QoS == wire.AtLeastOnce || mayRepeat[p.Topic]) && slices.Contains(before, string(p.Payload)) {
			continue
		}
		got[p.Topic] = append(before, string(p.Payload))
	}
	for topic, payloads := range got {
		if strings.HasSuffix(topic, "/1") {
			// The repeat of a message may have been refused whose PUBACK got lost.
			got[topic] = slices.DeleteFunc(payloads, func(p string) bool { return !slices.Contains(want[topic], p) })
		}
		if len(got[topic]) == 0 {
			delete(got, topic)
		}
		if flaky && strings.HasPrefix(topic, "t/1/") {
			// A 5.0 client was told of a failure and may not have heard it: what it sends
			// again comes after what was accepted since.
			slices.SortFunc(got[topic], func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
		}
	}
	require.Equal(t, want, got, "%s, granted QoS %d", s.connect.ClientID, granted)
}
