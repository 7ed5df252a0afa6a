package durable

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// What waits at QoS 0 is counted, because each publish asks for it.
func TestMessagesAtMostOnceAreCounted(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := store.Memory()
	j, _ := attached(t, s)
	var all []*Entry
	start := time.Unix(1000, 0)
	check := func(step int) {
		var want lossy
		for _, list := range [][]*Entry{j.accepted, j.taken} {
			for _, e := range list {
				want.count(e.Out, e.size, 1)
			}
		}
		for _, u := range j.line.unstored {
			want.count(u.out, u.size, 1)
		}
		messages, bytes := j.WaitingAtMostOnce()
		require.Equal(t, want, lossy{messages, bytes}, "step %d", step)
	}
	accept := func(i int) {
		o := new(session.Outgoing)
		o.Publish = wire.Publish{Topic: "a", Payload: fmt.Append(nil, i), QoS: wire.QoS(random.IntN(2))}
		var record []byte
		if o.Publish.QoS > 0 && random.IntN(4) > 0 {
			var err error
			record, err = EncodeMessage(&o.Publish, time.Time{}, start)
			require.NoError(t, err)
		} else if random.IntN(2) == 0 {
			o.Expires = new(start.Add(time.Duration(i) * time.Second))
		}
		e := &Entry{Out: o}
		all = append(all, e)
		j.Accept(e, record, start)
	}
	for i := range 3 * WindowMessages {
		accept(i) // more than the engine takes
	}
	commit(t, j, s)
	check(-1)
	require.NotEmpty(t, j.line.unstored)
	for step := range 2000 {
		switch random.IntN(8) {
		case 0, 1, 2:
			accept(step)
		case 3:
			commit(t, j, s)
		case 4:
			j.DropUnstored(start.Add(time.Duration(step) * time.Second / 2))
		case 5:
			if b := j.NextBlock(); b != nil {
				b.Read(s)
				require.NoError(t, j.Refill(b, start))
			}
		default:
			j.Withdraw(all[random.IntN(len(all))])
		}
		check(step)
	}
	j.FailLine(session.ErrExpired, session.ErrExpired)
	check(2000)
	require.Zero(t, j.lossy)
}
