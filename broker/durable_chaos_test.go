package broker

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// Clients come and go, the broker crashes at any Commit, again and again. Every
// subscriber gets everything in the order of its publisher, at QoS 2 once.
func TestChaosWithCrashes(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) { chaos(t, rand.New(rand.NewPCG(seed, 1))) })
		if t.Failed() {
			t.Fatal("seed ", seed)
		}
	}
}

func chaos(t *testing.T, random *rand.Rand) {
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
	for range 60 {
		synctest.Wait()
		if w.hasCrashed() {
			w.restart(crash{})
		}
		for _, a := range w.actors {
			a.step()
		}
	}
	advance(time.Second)
	require.Zero(t, w.records(messageRecord, queuedRecord, identifierRecord))
	for i, s := range subscribers {
		wantAll(t, s, []wire.QoS{2, 1, 2}[i], counts)
	}
}

// wantAll checks that s got all messages in order, and at QoS 2 once.
func wantAll(t *testing.T, s *actor, granted wire.QoS, counts [][3]int) {
	next := map[string]int{}
	for _, p := range s.got {
		n, err := strconv.Atoi(string(p.Payload))
		require.NoError(t, err)
		if p.QoS == wire.AtLeastOnce {
			require.LessOrEqual(t, n, next[p.Topic], p.Topic)
			next[p.Topic] = max(next[p.Topic], n+1)
			continue
		}
		require.Equal(t, next[p.Topic], n, p.Topic)
		next[p.Topic]++
	}
	for i, count := range counts {
		for qos, n := range count {
			require.Equal(t, n, next[fmt.Sprintf("t/%d/%d", i, qos)], "%s: granted %d, publisher %d at QoS %d", s.connect.ClientID, granted, i, qos)
		}
	}
}
