package hostile

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker"
)

// brokerScenario is an attack on a broker.
type brokerScenario struct {
	name string
	// setup is the broker under attack. In the long form its Config is left at the
	// defaults unless the scenario is about a setting.
	setup func(a *attack) BrokerSetup
	// limit is how many bytes the settings allow the attackers, and multiple how much
	// of the process that may be. Zero means that the attack costs no memory that counts.
	limit    func(a *attack) int
	multiple int
	// attack does it, and returns when all is done or nothing goes any more. What it
	// has built up stays until the honest clients are done.
	attack func(a *attack)
	// least is how much of the attack must have landed for it to be one.
	least int
	// check looks at the broker's figures, with everything still standing.
	check func(t *testing.T, a *attack, r Report)
}

const (
	processBase = 16 << 20 // bytes that a process may take beside what its limits allow
	ceiling     = 4 << 30  // bytes at which a victim is ended, to protect the machine
	least       = 3        // honest rounds, at least
)

// result is a row of the table.
type result struct {
	name             string
	limit, allowed   int
	multiple         int
	rest, peak       int
	rounds, failures int
	logins, trips    []time.Duration
	prompt           int           // logins within a second
	longest          time.Duration // call on the client under attack
	landed           int64
	resident         uint64 // connections that the honest client lost that was there before
	died             error
}

func (s *brokerScenario) run(t *testing.T, long bool) result {
	ctx, cancel := context.WithTimeout(t.Context(), runTime(long))
	defer cancel()
	a := &attack{ctx: ctx, long: long}
	defer a.end()
	res := result{name: s.name, multiple: max(s.multiple, 1)}
	if s.limit != nil {
		res.limit = s.limit(a)
	}
	res.allowed = processBase + res.limit*max(s.multiple, 1)
	victim := startProcess(t, res.allowed, ceiling)
	defer victim.stop()
	setup := s.setup(a)
	setup.Config.Memory = memoryLimit(a)
	if setup.Directory != "" {
		setup.Directory = t.TempDir()
	}
	var err error
	a.server, err = call[map[string]string](victim, "StartBroker", setup)
	require.NoError(t, err)

	h := &honest{server: "mqtt://" + a.server["tcp"], user: "honest", patience: patience, most: 3, users: setup.Users}
	if long {
		h.patience, h.most = 10*time.Second, 100
	}
	defer h.leave()
	require.NoError(t, h.enter(ctx))
	h.round(ctx)
	require.Empty(t, h.failures)
	h.logins, h.trips, h.rounds = nil, nil, 0
	before, err := call[Report](victim, "Rest", struct{}{})
	require.NoError(t, err)

	over := make(chan struct{})
	go func() { defer close(over); s.attack(a) }()
	end := func() { cancel(); a.end(); <-over }
	defer end() // where a check fails
	h.work(ctx, over, least)
	select {
	case <-over:
	case <-ctx.Done():
	}
	h.work(ctx, over, least)
	after, err := call[Report](victim, "Report", struct{}{})
	res.died = err
	if res.rest, res.peak = before.Resident, after.Peak-before.Resident; err != nil {
		res.peak = ceiling
	}
	if err == nil {
		t.Logf("%.1f MiB over rest at the end, %d bytes wait, %+v", mib(after.Resident-before.Resident), after.Broker.Waiting, after.Broker.Stats)
	}
	if err == nil && s.check != nil {
		s.check(t, a, after)
	}
	end()
	res.rounds, res.failures, res.logins, res.trips = h.rounds, len(h.failures), h.logins, h.trips
	res.prompt = h.prompt()
	res.resident, res.landed = h.leave(), a.landed.Load()
	for _, failure := range h.failures {
		t.Log("honest client:", failure)
	}
	a.landing(t, s.least)
	return res
}

// runTime bounds one scenario, in case that it stands still.
func runTime(long bool) time.Duration {
	if long {
		return 15 * time.Minute
	}
	return 2 * time.Minute
}

// judge is what the short form asserts.
func (r *result) judge(t *testing.T) {
	t.Logf("peak %.1f MiB over rest, allowed %.1f; %d honest rounds, %d failures; landed %d; login p50 %v p99 %v, trip p50 %v p99 %v",
		mib(r.peak), mib(r.allowed), r.rounds, r.failures, r.landed,
		quantile(r.logins, 0.5), quantile(r.logins, 0.99), quantile(r.trips, 0.5), quantile(r.trips, 0.99))
	require.NoError(t, r.died)
	require.LessOrEqual(t, mib(r.peak), mib(r.allowed), "peak in MiB")
	require.Zero(t, r.failures, "of %d honest rounds", r.rounds)
	require.Zero(t, r.resident, "connections lost by the honest client that was there before")
}

func mib(n int) float64 { return float64(n) / (1 << 20) }

func TestBrokerUnderAttack(t *testing.T) {
	for _, s := range brokerScenarios() {
		t.Run(s.name, func(t *testing.T) {
			inTurn(t)
			res := s.run(t, *long)
			brokerTable.add(res)
			res.judge(t)
		})
	}
}

// inTurn lets scenarios run beside each other where no times are taken.
func inTurn(t *testing.T) {
	if !*long {
		t.Parallel()
	}
}

// small is the broker of the short form: limits that an attack reaches quickly.
func small(a *attack, change func(*broker.Config)) broker.Config {
	if a.long {
		return broker.Config{}
	}
	cfg := broker.Config{
		Connections: 400, Sessions: 400, MaximumPacketSize: 1 << 20,
		QueuedBytes: 1 << 20, RetainedBytes: 8 << 20, RetainedMessages: 4000, SubscriptionsPerClient: 1000,
		StatusInterval: -1,
	}
	if change != nil {
		change(&cfg)
	}
	return cfg
}
