package broker

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// crashesAt calls f for a broker that crashes at its first Commit, its second, and so
// on, with and without its effect, until f reports that it did not come so far.
func crashesAt(t *testing.T, f func(t *testing.T, c crash) (crashed bool)) {
	t.Helper()
	for _, applied := range []bool{false, true} {
		n := 1
		for ; ; n++ {
			crashed := false
			synctest.Test(t, func(t *testing.T) { crashed = f(t, crash{n, applied}) })
			if t.Failed() {
				t.Fatalf("crash at commit %d, applied: %v", n, applied)
			}
			if !crashed {
				break
			}
		}
		require.Greater(t, n, 3)
	}
}

const modelMessages = 6

// passOnLocked publishes messages from one client to another through crashes, and says
// how many there were.
func passOn(t *testing.T, v wire.Version, qos wire.QoS, first, second crash) int {
	w := newWorld(t, first)
	s := w.actor(v, "s", filter("a/#", qos))
	w.until(second, func() bool { return s.filters == nil })
	p := w.actor(v, "p")
	for i := range modelMessages {
		p.publish(wire.Publish{Topic: "a/b", Payload: fmt.Append(nil, i), QoS: qos})
		if i == modelMessages/2 {
			w.until(second, func() bool { return len(p.done) > i/2 })
		}
	}
	complete := func() bool {
		all, _ := s.payloads()
		return len(p.done) == modelMessages && slices.Contains(all, fmt.Sprint(modelMessages-1))
	}
	w.until(second, complete)
	for _, o := range p.done {
		if !doubtful(o) {
			require.NoError(t, o.Result().Err)
		}
	}
	// The rest of the last exchange, and what is committed when there is time.
	for range 10 {
		s.step()
		p.step()
		synctest.Wait()
	}
	advance(time.Second)
	if w.hasCrashed() {
		w.crashes++
	} else {
		require.Zero(t, w.records(records.MessageKind, records.QueuedKind, records.IdentifierKind), "something is left")
	}
	want := make([]string, modelMessages)
	for i := range want {
		want[i] = fmt.Sprint(i)
	}
	all, repeated := s.payloads()
	seen := map[string]bool{}
	var order []string
	again := 0
	for i, payload := range all {
		if !seen[payload] {
			seen[payload] = true
			order = append(order, payload)
			continue
		}
		require.Equal(t, wire.AtLeastOnce, qos, "%v", all)
		if again++; !repeated[i] {
			// The publisher has repeated it, as its PUBACK got lost.
			require.NotZero(t, w.crashes)
		}
	}
	require.Equal(t, want, order)
	require.LessOrEqual(t, again, modelMessages*w.crashes)
	return w.crashes
}

// doubtful says that nobody can know whether the broker has passed on o: it does not
// know the identifier, and a CONNACK got lost.
func doubtful(o *session.Outgoing) bool {
	return o.Publish.QoS == wire.ExactlyOnce && errors.Is(o.Result().Err, wire.PacketIdentifierNotFound)
}

func TestNothingIsLostWhereverTheBrokerCrashes(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		for _, qos := range []wire.QoS{wire.AtLeastOnce, wire.ExactlyOnce} {
			t.Run(fmt.Sprint(v, " QoS ", qos), func(t *testing.T) {
				crashesAt(t, func(t *testing.T, c crash) bool { return passOn(t, v, qos, c, crash{}) > 0 })
			})
		}
	}
}

func TestNothingIsLostWhereverTheBrokerCrashesAgain(t *testing.T) {
	for _, again := range []crash{{1, false}, {1, true}, {2, false}, {2, true}, {3, false}, {3, true}, {5, true}} {
		t.Run(fmt.Sprint(again), func(t *testing.T) {
			crashesAt(t, func(t *testing.T, c crash) bool { return passOn(t, wire.V5, wire.ExactlyOnce, c, again) > 0 })
		})
	}
}
