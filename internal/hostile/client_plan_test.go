package hostile

import (
	"cmp"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clientScenario is an attack by a server on a client.
type clientScenario struct {
	name  string
	setup func(a *attack) ClientSetup
	// server is the one that attacks. It calls a.done when it has done its worst.
	server func(a *attack) *Server
	// scheme is that of the URL of the server. Empty means mqtt.
	scheme string
	// limit and multiple are those of brokerScenario.
	limit    func(a *attack) int
	multiple int
	// during, if set, is what the program of the client does meanwhile.
	during func(t *testing.T, a *attack, victim *process)
	// refused says that Connect or the subscription may fail.
	refused bool
	least   int
	// most bounds the connections that the client makes. Zero means that they do not
	// matter.
	most  int
	check func(t *testing.T, a *attack, r Report)
}

// done says that the attack is over. It may be called more than once.
func (a *attack) done() { a.once.Do(func() { close(a.over) }) }

func (s *clientScenario) run(t *testing.T, long bool) result {
	ctx, cancel := context.WithTimeout(t.Context(), runTime(long))
	defer cancel()
	a := &attack{ctx: ctx, long: long, over: make(chan struct{})}
	res := result{name: s.name, multiple: max(s.multiple, 1)}
	if s.limit != nil {
		res.limit = s.limit(a)
	}
	res.allowed = processBase + res.limit*max(s.multiple, 1)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	victim := startProcess(t, res.allowed, ceiling)
	defer victim.stop() // which ends what waits for it
	good, bad := new(Server), s.server(a)
	require.NoError(t, good.Listen())
	defer good.Close()
	require.NoError(t, bad.Listen())
	defer bad.Close()
	defer cancel() // before the servers wait for their scripts

	_, err := call[struct{}](victim, "StartBeside", "mqtt://"+good.Addr())
	require.NoError(t, err)
	before, err := call[Report](victim, "Rest", struct{}{})
	require.NoError(t, err)

	setup := s.setup(a)
	setup.Servers = append([]string{cmp.Or(s.scheme, "mqtt") + "://" + bad.Addr()}, setup.Servers...)
	var beside, calls Result
	waiting.Go(func() {
		for n := 0; beside.OK == beside.Returned; n++ {
			if n >= 2*least && isOver(a) {
				return
			}
			more, err := call[Result](victim, "Beside", 1)
			if err != nil {
				return
			}
			beside.merge(more)
			<-time.After(pause)
		}
	})
	started, err := call[Result](victim, "StartClient", setup)
	if err == nil && !s.refused {
		require.Equal(t, 1, started.OK, started.Err)
	}
	require.LessOrEqual(t, len(started.Err), longestError)
	t.Logf("Connect: %s", cmp.Or(started.Err, "no error"))
	if s.during != nil && err == nil {
		s.during(t, a, victim)
	}
	for err == nil && !isOver(a) {
		var more Result
		more, err = call[Result](victim, "Calls", 1)
		calls.merge(more)
		<-time.After(pause)
	}
	a.done() // for those whose time is up
	waiting.Wait()
	after, err := call[Report](victim, "Report", struct{}{})
	res.rest, res.peak, res.died = before.Resident, after.Peak-before.Resident, err
	if err != nil {
		res.peak = ceiling
	} else {
		closed, err := call[Result](victim, "Close", struct{}{})
		require.NoError(t, err)
		require.Equal(t, closed.Returned, closed.OK, closed.Err)
		t.Logf("connected %d of %d, %d calls returned, the longest in %v, close in %v, %+v",
			started.OK, started.Returned, calls.Returned, calls.Longest, closed.Longest, after.Client.Stats)
		require.LessOrEqual(t, max(len(after.Client.Err), len(calls.Err), after.Client.Logged), longestError, "bytes of an error or a line of the log")
		if s.check != nil {
			s.check(t, a, after)
		}
	}
	res.rounds, res.failures, res.landed = beside.Returned, beside.Returned-beside.OK, a.landed.Load()
	res.trips, res.longest = beside.times, calls.Longest
	if s.most > 0 {
		require.LessOrEqual(t, int(bad.Accepted.Load()), s.most, "connections")
	}
	a.landing(t, s.least)
	return res
}

// longestError bounds what an error and a line of the log have of what a server says.
const longestError = 2000

func isOver(a *attack) bool {
	select {
	case <-a.over:
		return true
	case <-a.ctx.Done():
		return true
	default:
		return false
	}
}

func TestClientUnderAttack(t *testing.T) {
	for _, s := range clientScenarios() {
		t.Run(s.name, func(t *testing.T) {
			inTurn(t)
			res := s.run(t, *long)
			clientTable.add(res)
			res.judge(t)
		})
	}
}
