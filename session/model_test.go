package session

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

var (
	modelSeeds = flag.Int("model.seeds", 2000, "how many random conversations the model test plays")
	modelSeed  = flag.Uint64("model.seed", 0, "play only this one and show it")
)

// conversation is a fixed exchange with everything in it.
func conversation(w *world) {
	steps := []func(){
		func() { w.publish(2); w.publish(1); w.publish(0); w.publish(2) },
		func() { w.request(subscribe("t")) },
		w.exchange,
		func() { w.serverPublish(2); w.serverPublish(1); w.serverPublish(0); w.serverPublish(2) },
		func() { w.publish(1); w.publish(2) },
		w.exchange,
		func() {
			if len(w.held) > 1 {
				w.ack(len(w.held) - 1)
			}
		},
		w.exchange,
		func() { w.request(unsubscribe("t")); w.publish(2) },
		func() {
			for len(w.held) > 0 {
				w.ack(len(w.held) - 1)
			}
		},
		w.exchange,
	}
	for _, step := range steps {
		w.connect()
		step()
	}
}

func TestEveryCutOfAConversation(t *testing.T) {
	for _, v := range versions {
		for _, forget := range []bool{false, true} {
			if forget && v == wire.V31 {
				continue // a 3.1 server cannot say that it lost the session
			}
			t.Run(fmt.Sprintf("%v forget=%t", v, forget), func(t *testing.T) {
				play := func(cuts [2]int, last, record bool) (*world, error) {
					w := newWorld(v)
					w.cut, w.lastTCP, w.record = cuts, last, record
					w.serverMax, w.clientMax = 3, 3
					if forget {
						w.forgetAt = 2
					}
					conversation(w)
					return w, w.converge()
				}
				whole, err := play([2]int{-1, -1}, false, false)
				require.NoError(t, err)
				require.Greater(t, whole.passed[0], 100)
				for direction := range 2 {
					for n := 1; n <= whole.passed[direction]; n++ {
						for _, last := range []bool{false, true} {
							cuts := [2]int{-1, -1}
							cuts[direction] = n
							if _, err := play(cuts, last, false); err != nil {
								w, _ := play(cuts, last, true)
								t.Fatalf("cut %v, last bytes arrive %t: %v\n%s", cuts, last, err, strings.Join(w.log, "\n"))
							}
						}
					}
				}
			})
		}
	}
}

func TestEveryPairOfCuts(t *testing.T) {
	// One message each way, cut in two successive connections at every byte.
	short := func(w *world) {
		for _, step := range []func(){
			func() { w.publish(2) }, w.exchange, func() { w.serverPublish(2) }, w.exchange,
			func() {
				for len(w.held) > 0 {
					w.ack(0)
				}
			}, w.exchange,
		} {
			w.connect()
			step()
		}
	}
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		play := func(first, second [2]int, record bool) (*world, error) {
			w := newWorld(v)
			w.cut, w.nextCut, w.record = first, &second, record
			short(w)
			return w, w.converge()
		}
		whole, err := play([2]int{-1, -1}, [2]int{-1, -1}, false)
		require.NoError(t, err)
		for a := range 2 {
			for n := 1; n <= whole.passed[a]; n++ {
				for b := range 2 {
					for m := 1; m <= whole.passed[b]; m++ {
						first, second := [2]int{-1, -1}, [2]int{-1, -1}
						first[a], second[b] = n, m
						if _, err := play(first, second, false); err != nil {
							w, _ := play(first, second, true)
							t.Fatalf("cuts %v %v: %v\n%s", first, second, err, strings.Join(w.log, "\n"))
						}
					}
				}
			}
		}
	}
}

// random plays a long conversation in which everything happens at any time.
func random(seed uint64, record, inPlace bool) (*world, error) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(versions[rng.IntN(3)])
	w.record = record
	if inPlace {
		w.inPlace = rng
	}
	w.server.lazy = rng.IntN(3) > 0
	w.server.aliasMax = uint16(rng.IntN(6))
	mayForget := w.v != wire.V31 && rng.IntN(3) == 0
	maxima := []int{1, 2, 3, 8, 65535}
	w.serverMax = maxima[rng.IntN(len(maxima))]
	w.clientMax = uint16(1 + rng.IntN(11))
	steps := 20 + rng.IntN(150)
	calm := 1 + rng.IntN(40) // how many steps between two breaks
	for range steps {
		if w.fault != nil {
			break
		}
		w.step(rng, mayForget, calm)
	}
	if w.fault != nil {
		return w, w.fault
	}
	return w, w.converge()
}

func (w *world) step(rng *rand.Rand, mayForget bool, calm int) {
	if !w.up && rng.IntN(4) > 0 {
		w.serverMax = max(1, w.serverMax+rng.IntN(3)-1)
		w.connect()
	}
	if rng.IntN(calm) == 0 {
		w.arrive(rng.IntN(2), 1+rng.IntN(60))
		w.lastTCP = rng.IntN(2) == 0
		if w.up && rng.IntN(2) == 0 {
			w.failing(rng)
		}
		w.lose(rng.IntN(10) == 0)
		if mayForget && rng.IntN(4) == 0 {
			w.note("--- server forgets")
			w.server.forget()
			w.forgot = true
		}
		return
	}
	switch rng.IntN(16) {
	case 0, 1, 2:
		w.serverPublish(wire.QoS(rng.IntN(3)))
	case 3:
		w.server.flush(rng.IntN(len(w.server.answers) + 1))
		w.check()
	case 4, 5:
		w.arrive(towardsServer, 1+rng.IntN(80))
	case 6, 7:
		w.arrive(towardsClient, 1+rng.IntN(80))
	default:
		w.use(rng)
	}
}

// use is one thing that the application does.
func (w *world) use(rng *rand.Rand) {
	if rng.IntN(4) > 0 {
		w.endInPlace(true)
	}
	if w.inPlace != nil && len(w.outgoing) > 0 && rng.IntN(8) == 0 {
		w.own(w.outgoing[rng.IntN(len(w.outgoing))])
	}
	switch rng.IntN(8) {
	case 0, 1, 2:
		w.publish(wire.QoS(rng.IntN(3)))
	case 3:
		w.request(subscribe("t", "u"))
	case 4:
		w.request(unsubscribe("t"))
	case 5, 6:
		if len(w.held) > 0 {
			w.ack(rng.IntN(len(w.held)))
		}
	default:
		if rng.IntN(2) == 0 {
			w.drop(rng)
		} else if len(w.outgoing) > 0 {
			w.withdraw(w.outgoing[len(w.outgoing)-1-rng.IntN(min(3, len(w.outgoing)))])
		}
	}
}

// failing ends the connection as the reader does that finds a fault. The application goes
// on, until the owner of the connection says that it is lost.
func (w *world) failing(rng *rand.Rand) {
	w.note("--- fails")
	w.c.Fail(errors.New("a fault"))
	for range rng.IntN(6) {
		w.use(rng)
	}
}

func TestRandomConversations(t *testing.T) {
	if *modelSeed != 0 {
		w, err := random(*modelSeed, true, false)
		t.Logf("%s", strings.Join(w.log, "\n"))
		require.NoError(t, err)
		return
	}
	reconnects, messages, forgot, aliased := 0, 0, 0, 0
	for seed := uint64(1); seed <= uint64(*modelSeeds); seed++ {
		w, err := random(seed, false, false)
		if err != nil {
			w, _ = random(seed, true, false)
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(w.log, "\n"))
		}
		reconnects += w.reconnects
		messages += len(w.got) + len(w.server.got)
		aliased += w.server.aliased
		if w.forgot {
			forgot++
		}
	}
	t.Logf("%d connections, %d deliveries, %d conversations with a lost session", reconnects, messages, forgot)
	require.Greater(t, reconnects, 3**modelSeeds)
	require.NotZero(t, forgot)
	require.Greater(t, aliased, *modelSeeds/2)
}
