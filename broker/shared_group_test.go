package broker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func groupHub() *hub {
	h := new(hub)
	h.begin(Config{}.withDefaults())
	return h
}

func (h *hub) memberForTest(id string, qos wire.QoS) *subscription {
	cl := newClient(h, id, h.nextNumberLocked())
	s := &subscription{client: cl, whole: "$share/g/a", qos: qos}
	h.addRouteLocked(s, true)
	cl.add(s)
	return s
}

// Absent members between connected ones do not change how often these have their turn.
func TestConnectedMembersTakeTurns(t *testing.T) {
	h := groupHub()
	var all []*subscription
	for i := range 10 {
		s := h.memberForTest(fmt.Sprint(i), wire.QoS(i%2))
		s.client.setOnlineLocked(i == 2 || i == 3 || i == 9)
		all = append(all, s)
	}
	turns := func(n int) map[string]int {
		got := map[string]int{}
		for range n {
			got[h.groups["$share/g/a"].pickLocked().client.id]++
		}
		return got
	}
	require.Equal(t, map[string]int{"2": 30, "3": 30, "9": 30}, turns(90))
	all[2].client.setOnlineLocked(false)
	require.Equal(t, map[string]int{"3": 30, "9": 30}, turns(60))
	all[3].client.setOnlineLocked(false)
	all[9].client.setOnlineLocked(false)
	require.Equal(t, map[string]int{"1": 12, "3": 12, "5": 12, "7": 12, "9": 12}, turns(60))
	for i := 1; i < 10; i += 2 {
		h.removeRouteLocked(all[i])
	}
	require.Equal(t, map[string]int{"0": 12, "2": 12, "4": 12, "6": 12, "8": 12}, turns(60))
	for i := 0; i < 10; i += 2 {
		h.removeRouteLocked(all[i])
	}
	require.Empty(t, h.groups)
	require.Zero(t, h.routes.Len())
}

func TestMembersAreWhereTheyShouldBe(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	h := groupHub()
	clients := make([]*client, 8)
	for i := range clients {
		clients[i] = newClient(h, fmt.Sprint(i), uint64(i))
	}
	for range 5000 {
		cl := clients[random.IntN(len(clients))]
		whole := fmt.Sprintf("$share/g%d/a", random.IntN(4))
		switch old := cl.subscriptions[whole]; {
		case random.IntN(3) == 0:
			cl.setOnlineLocked(!cl.online.Load())
		case old != nil:
			h.removeRouteLocked(old)
			cl.remove(whole)
		default:
			s := &subscription{client: cl, whole: whole, qos: wire.QoS(random.IntN(2))}
			h.addRouteLocked(s, true)
			cl.add(s)
		}
		n := 0
		for _, g := range h.groups {
			require.False(t, g.isEmpty())
			for r, list := range g.ranks {
				n += len(list)
				for i, s := range list {
					require.Equal(t, rank(r), s.rankNow())
					require.EqualValues(t, i, s.seat.at)
					require.Same(t, g, s.group)
				}
			}
		}
		for _, cl := range clients {
			n -= len(cl.memberships)
			require.Len(t, cl.memberships, len(cl.subscriptions))
			for i, s := range cl.memberships {
				require.EqualValues(t, i, s.seat.of)
			}
		}
		require.Zero(t, n)
	}
}

// There may be millions of them.
func TestASubscriptionIsSmall(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) == 8 {
		require.LessOrEqual(t, unsafe.Sizeof(subscription{}), uintptr(96))
	}
}

// Walks that end in any order leave nothing behind.
func TestWalksThatAreOverAreForgotten(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	h := groupHub()
	cl := newClient(h, "a", 1)
	live := 0
	for range 10_000 {
		w := &walk{hub: h}
		h.walks.Add(1)
		cl.addWalkLocked(w)
		live++
		for live > 20 || live > 0 && random.IntN(2) == 0 {
			w := cl.walks[random.IntN(len(cl.walks))]
			if !w.over.Load() {
				w.endLocked()
				live--
			}
			cl.trimWalksLocked()
		}
		require.LessOrEqual(t, len(cl.walks), 2*max(live, 20)+16)
		if len(cl.walks) > 0 {
			require.False(t, cl.walks[0].over.Load())
		}
	}
}
