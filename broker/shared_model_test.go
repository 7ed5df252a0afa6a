package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

const (
	jobs    = "job/#"
	jobsFor = "$share/g/" + jobs
)

// workers are the members of a shared subscription, who come, go and acknowledge as
// chance has it. The first one never leaves.
type workers struct {
	w         *world
	random    *rand.Rand
	publisher *actor
	members   []*worker
	names     int
	published int
	finished  map[string]bool            // jobs that somebody has acknowledged
	once      map[string]map[string]bool // who got a job at QoS 2
}

type worker struct {
	*actor
	all   *workers
	life  int // sessions so far
	tasks []received
}

func newWorkers(w *world, random *rand.Rand) *workers {
	all := &workers{w: w, random: random, finished: map[string]bool{}, once: map[string]map[string]bool{}}
	all.join()
	w.until(crash{}, func() bool { return all.members[0].filters == nil })
	all.publisher = w.actor(wire.V5, "publisher")
	return all
}

func (all *workers) join() {
	m := &worker{all: all}
	m.actor = all.w.actor(wire.V5, fmt.Sprint("w", all.names), filter(jobsFor, wire.QoS(1+all.random.IntN(2))))
	m.connect.ReceiveMaximum = uint16(1 + all.random.IntN(4))
	m.work = m.receive
	all.names++
	all.members = append(all.members, m)
}

func (m *worker) receive(r received) {
	m.tasks = append(m.tasks, r)
	if job := string(r.message.Payload); r.message.QoS == wire.ExactlyOnce {
		if m.all.once[job] == nil {
			m.all.once[job] = map[string]bool{}
		}
		m.all.once[job][fmt.Sprint(m.connect.ClientID, m.life)] = true
	}
}

// finish acknowledges up to n jobs.
func (m *worker) finish(n int) {
	for ; n > 0 && len(m.tasks) > 0; n-- {
		r := m.tasks[0]
		m.tasks = m.tasks[1:]
		if r.engine == m.engine && m.engine.Receiver.Ack(r.token, wire.Success) == nil {
			m.all.finished[string(r.message.Payload)] = true
		}
	}
}

// leave ends the membership for good, in one of the ways there are.
func (all *workers) leave(i int) {
	m := all.members[i]
	switch all.random.IntN(4) {
	case 0: // DISCONNECT
		_ = m.engine.Disconnect(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))}) // unless it is away
		m.step()
		all.remove(i)
	case 1: // its session expires some day
		all.remove(i)
	case 2: // a clean start, as a new member
		m.cut()
		m.connect.CleanStart = true
		m.engine = session.NewClient(session.ClientSettings{})
		m.filters = []wire.SubscribeFilter{filter(jobsFor, 2)}
		m.tasks = nil
		m.life++
	case 3:
		if m.engine.Connected() && m.filters == nil {
			require.NoError(all.w.t, m.engine.Request(&session.Request{Unsubscribe: &wire.Unsubscribe{Filters: []string{jobsFor}}}))
			m.step()
			m.finish(all.random.IntN(4))
			m.step()
			all.remove(i)
		}
	}
}

// remove forgets a member, whose session may go on.
func (all *workers) remove(i int) {
	m := all.members[i]
	m.cut()
	all.members = slices.Delete(all.members, i, i+1)
	all.w.actors = slices.DeleteFunc(all.w.actors, func(a *actor) bool { return a == m.actor })
}

func (all *workers) publish() {
	qos := wire.QoS(1 + all.random.IntN(2))
	payload := fmt.Appendf(nil, "%d/%d", qos, all.published)
	all.published++
	all.publisher.publish(wire.Publish{Topic: "job/x", Payload: payload, QoS: qos})
}

// act does something, and lets something happen.
func (all *workers) act() {
	w, random := all.w, all.random
	switch random.IntN(12) {
	case 0:
		if len(all.members) < 5 {
			all.join()
		}
	case 1:
		if len(all.members) > 1 {
			all.leave(1 + random.IntN(len(all.members)-1))
		}
	case 2:
		w.actors[random.IntN(len(w.actors))].cut()
	case 3, 4, 5:
		all.publish()
	case 6, 7, 8:
		all.members[random.IntN(len(all.members))].finish(random.IntN(4))
	}
	synctest.Wait()
	for _, m := range all.members {
		if m.engine.Connected() {
			m.connect.CleanStart = false
		}
	}
	w.actors[random.IntN(len(w.actors))].step()
}

// waitUntilIdle lets everybody do all jobs that there are, after those who went have lost
// their sessions.
func (all *workers) waitUntilIdle() {
	w := all.w
	work := func(rounds int) {
		for range rounds {
			synctest.Wait()
			for _, a := range w.actors {
				a.step()
			}
			for _, m := range all.members {
				m.finish(100)
			}
		}
	}
	w.until(crash{}, func() bool {
		for _, m := range all.members {
			m.finish(100)
		}
		return len(all.publisher.done) == all.published
	})
	work(20)
	advance(2 * time.Hour)
	work(200)
}

// check demands that each job at QoS 1 was done, and none at QoS 2 twice.
func (all *workers) check() {
	t := all.w.t
	for _, o := range all.publisher.done {
		if err := o.Result().Err; o.Publish.QoS == wire.AtLeastOnce {
			require.NoError(t, err)
		} else if err != nil {
			// A client whose CONNECT was not answered cannot tell what that means.
			require.ErrorIs(t, err, wire.PacketIdentifierNotFound)
		}
		if o.Publish.QoS == wire.AtLeastOnce {
			require.Contains(t, all.finished, string(o.Publish.Payload))
		}
	}
	for job, who := range all.once {
		require.LessOrEqual(t, len(who), 1, "%s at QoS 2: %v", job, who)
	}
	for _, info := range all.w.broker.Clients() {
		require.Zero(t, info.Waiting, info.Peer.ClientID)
	}
}

const sharedSchedules = 50

// Whoever leaves, and however, each job at QoS 1 is done by somebody.
func TestJobsAreDoneWhoeverLeaves(t *testing.T) {
	for seed := range uint64(sharedSchedules) {
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, broker: New(Config{}), disk: newCrashing(nil, 0, false)}
			t.Cleanup(w.close)
			all := newWorkers(w, rand.New(rand.NewPCG(seed, 3)))
			for range 300 {
				all.act()
			}
			all.waitUntilIdle()
			all.check()
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// The same with a Store, and a broker that crashes at any Commit, with and without its
// effect.
func TestJobsAreDoneWhereverTheBrokerCrashes(t *testing.T) {
	for seed := range uint64(sharedSchedules) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 4))
			w := newWorld(t, crash{})
			all := newWorkers(w, random)
			next := func() crash { return crash{1 + random.IntN(30), random.IntN(2) == 0} }
			w.restart(next())
			for range 300 {
				all.act()
				if w.hasCrashed() {
					w.restart(next())
				}
			}
			w.restart(crash{})
			all.waitUntilIdle()
			all.check()
			advance(time.Second)
			require.Zero(t, w.records(records.MessageKind, records.QueuedKind, records.IdentifierKind))
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
