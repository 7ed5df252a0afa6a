package chaostest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
)

// TestNothingIsLostInNetworksOfTheKernel breaks links, routes and addresses at random.
// Where there can be no network namespaces, a proxy falls silent instead.
func TestNothingIsLostInNetworksOfTheKernel(t *testing.T) {
	eachServer(t, func(t *testing.T, server string, v mqtt.Version) {
		seed := newSeed(t)
		r := &traffic{version: v, size: 2000, pace: 20 * time.Millisecond, late: patience}
		var faults [2][]fault
		if both, ok := cables(t, server); ok {
			for i, c := range both {
				faults[i] = slices.Concat(c.faults(), c.gentle())
			}
			r.publisher, r.receiver = both[0].at(), both[1].at()
		} else {
			lines := [2]*line{onSockets(t, server), onSockets(t, server)}
			faults = [2][]fault{lines[0].faults(), lines[1].faults()}
			r.publisher, r.receiver = lines[0].address, lines[1].address
		}
		made := [2]map[string]int{}
		r.run(t, seed, func(ctx context.Context, publisher, receiver *mqtt.Client) {
			ctx, cancel := context.WithTimeout(ctx, *onSocketsFor)
			defer cancel()
			var disturbing sync.WaitGroup
			for i := range faults {
				disturbing.Go(func() { made[i] = disturb(ctx, draw(seed, uint64(i)), faults[i], keepAlive) })
			}
			disturbing.Wait()
		})
		t.Logf("%d messages, %d have come, %v", len(r.ledger.fate), len(r.ledger.count), made)
	})
}

// TestEveryBrokenNetworkIsNoticed breaks a network for as long as it takes. The client
// finds out by keep-alive, goes on when the network is there again, and loses nothing.
func TestEveryBrokenNetworkIsNoticed(t *testing.T) {
	t.Parallel()
	server := startBroker(t)
	both, ok := cables(t, server)
	if !ok {
		l := onSockets(t, server)
		for _, d := range []faultproxy.Direction{faultproxy.Up, faultproxy.Down, faultproxy.Both} {
			requireNoticed(t, l.address, func() { l.Blackhole(d) }, l.Heal)
		}
		return
	}
	c := both[0]
	for _, f := range c.faults() {
		took := requireNoticed(t, c.at(), func() { f.begin(nil) }, f.end)
		t.Logf("%s: noticed after %v, with a keep-alive of %v", f.name, took.Round(time.Millisecond), keepAlive)
	}
	took := requireNoticed(t, c.at(), c.roam, func() {})
	t.Logf("the client's address changes: noticed after %v", took.Round(time.Millisecond))
}

// requireNoticed breaks a network until the client has found out, and returns how long
// that took.
func requireNoticed(t *testing.T, at address, breakIt, mend func()) (took time.Duration) {
	t.Helper()
	client := at.connect(t, at.config("", mqtt.V5))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sub, err := client.Subscribe(ctx, "x", mqtt.ExactlyOnce)
	require.NoError(t, err)
	events := client.Watch(ctx)
	begun := time.Now()
	breakIt()
	d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "x", Payload: []byte("meanwhile"), QoS: mqtt.ExactlyOnce})
	require.NoError(t, err)
	for e := range events {
		if e.State == mqtt.Reconnecting {
			break
		}
	}
	took = time.Since(begun)
	require.NoError(t, ctx.Err(), "nobody noticed")
	require.Less(t, took, patience) // it is 1.5 keep-alives on a machine that has time
	mend()
	_, err = d.Wait(ctx)
	require.NoError(t, err)
	m, err := sub.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, "meanwhile", string(m.Payload))
	require.NoError(t, client.Disconnect(ctx))
	return took
}
