package broker

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// crossing returns a filter with a + in the levels of the bits of n.
func crossing(n int) string {
	levels := strings.Split(strings.Repeat("a/", 13)+"end", "/")
	for i := range 13 {
		if n>>i&1 == 1 {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}

func TestFiltersThatPeopleUseAreFree(t *testing.T) {
	for _, filter := range []string{
		"#", "a/b", "+", "a/+/b", "+/a/+", "device/+/channel/+/#", "+/+/+/+/+/#", "a/+/+/+/+/b/c", "a++/b/+c/+/d/e/+", strings.Repeat("a/", 100),
	} {
		require.Empty(t, shapeOf(filter), filter)
	}
	require.Equal(t, shapeOf("+/x/+/y/+"), shapeOf("+/other/+/than/+/this/#"))
	shapes := map[string]bool{}
	for n := range 1 << 13 {
		shapes[shapeOf(crossing(n))] = true
	}
	require.Greater(t, len(shapes), 1<<13-200)
	require.NotEqual(t, shapeOf(strings.Repeat("a/", 100)+"+"), shapeOf(strings.Repeat("a/", 101)+"+"))
}

// One user cannot make messages dear, and keeps nobody from the filters that are in
// use or that few others are like.
func TestWhatFiltersCostIsBounded(t *testing.T) {
	anyone := AuthenticatorFunc(func(context.Context, *Login) Decision { return Allow() })
	run(t, Config{Authenticators: []Authenticator{anyone}, SubscriptionsPerClient: 5000}, func(t *testing.T, b *Broker) {
		subscribe := func(s *script, from, to int) (granted int) {
			for n := from; n < to; n += 512 {
				p := &wire.Subscribe{PacketID: 1}
				for i := range 512 {
					p.Filters = append(p.Filters, filter(crossing(n+i), 0))
				}
				s.send(p)
				for _, code := range receive[*wire.Suback](s).ReasonCodes {
					if code == wire.GrantedQoS0 {
						granted++
					} else {
						require.Equal(t, wire.QuotaExceeded, code)
					}
				}
			}
			return granted
		}
		var greedy []*script
		total := 0
		for i := range 2 {
			s := dialFrom(t, b, "10.0.0.1", wire.V5)
			require.Equal(t, wire.Success, s.login(fmt.Sprint("m", i), "mallory"))
			total += subscribe(s, i*4096, (i+1)*4096)
			greedy = append(greedy, s)
		}
		require.Less(t, total, shapesMaximum*3/4)
		require.Greater(t, total, shapesMaximum/2)

		s := dialFrom(t, b, "10.0.0.2", wire.V5)
		require.Equal(t, wire.Success, s.login("a", "alice"))
		s.subscribe(filter("$share/g/+/x/+/y/+", 0), filter(crossing(0b10101), 0))
		require.Greater(t, subscribe(s, 8192-512, 8192), shapesMaximum/modestPart)
		for _, g := range greedy {
			g.cut()
		}
		require.LessOrEqual(t, len(b.shapes.used), 514)
		s.cut()
		require.Empty(t, b.shapes.used)
		require.Zero(t, b.shapes.quota.used.Load())
		require.Empty(t, b.shapes.quota.holders)
	})
}
