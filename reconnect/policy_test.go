package reconnect_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/reconnect"
)

const forever = time.Duration(math.MaxInt64)

func TestPolicyValidate(t *testing.T) {
	for _, p := range []reconnect.Policy{
		{},
		{Min: time.Second},
		{Max: time.Millisecond},
		{Min: time.Second, Max: time.Second, Factor: 1},
		{Min: time.Minute, Factor: 1.5, HealthyAfter: time.Second, MaxAttempts: 1},
		{Min: 1, Max: forever, Factor: math.MaxFloat64, HealthyAfter: forever, MaxAttempts: math.MaxInt},
	} {
		require.NoError(t, p.Validate(), "%+v", p)
	}
	for _, test := range []struct {
		policy reconnect.Policy
		says   string
	}{
		{reconnect.Policy{Min: -1}, "reconnect policy: Min is negative: -1ns"},
		{reconnect.Policy{Max: -time.Second}, "reconnect policy: Max is negative: -1s"},
		{reconnect.Policy{HealthyAfter: -time.Second}, "reconnect policy: HealthyAfter is negative: -1s"},
		{reconnect.Policy{Min: time.Minute, Max: time.Second}, "reconnect policy: Min 1m0s is longer than Max 1s"},
		{reconnect.Policy{Factor: 0.5}, "reconnect policy: Factor is not a number from 1: 0.5"},
		{reconnect.Policy{Factor: -2}, "reconnect policy: Factor is not a number from 1: -2"},
		{reconnect.Policy{Factor: math.NaN()}, "reconnect policy: Factor is not a number from 1: NaN"},
		{reconnect.Policy{Factor: math.Inf(1)}, "reconnect policy: Factor is not a number from 1: +Inf"},
		{reconnect.Policy{MaxAttempts: -1}, "reconnect policy: MaxAttempts is negative: -1"},
	} {
		require.EqualError(t, test.policy.Validate(), test.says)
	}
	all := reconnect.Policy{Min: -1, Max: -1, Factor: -1, HealthyAfter: -1, MaxAttempts: -1}.Validate()
	require.Equal(t, 5, strings.Count(all.Error(), "reconnect policy:"))
}

func TestPolicyCeilingGrowsToTheCap(t *testing.T) {
	p := reconnect.Policy{Min: time.Second, Max: 10 * time.Second, Factor: 3}
	require.Equal(t, time.Second, p.Ceiling(0))
	require.Equal(t, 3*time.Second, p.Ceiling(1))
	require.Equal(t, 9*time.Second, p.Ceiling(2))
	require.Equal(t, 10*time.Second, p.Ceiling(3))
	require.Equal(t, time.Second, p.Ceiling(-1))
}

func TestPolicyCeilingDefaults(t *testing.T) {
	for _, test := range []struct {
		policy      reconnect.Policy
		first, last time.Duration
	}{
		{reconnect.Policy{}, 100 * time.Millisecond, 30 * time.Second},
		{reconnect.Policy{Max: time.Millisecond}, time.Millisecond, time.Millisecond},
		{reconnect.Policy{Min: time.Minute}, time.Minute, time.Minute},
		{reconnect.Policy{Min: time.Second, Factor: 1}, time.Second, time.Second},
	} {
		require.Equal(t, test.first, test.policy.Ceiling(0), "%+v", test.policy)
		require.Equal(t, test.last, test.policy.Ceiling(1000), "%+v", test.policy)
	}
	require.Equal(t, 200*time.Millisecond, reconnect.Policy{}.Ceiling(1))
}

func TestPolicyCeilingDoesNotOverflow(t *testing.T) {
	for _, p := range []reconnect.Policy{
		{},
		{Min: 1, Max: forever},
		{Min: forever, Max: forever},
		{Min: 1, Max: forever, Factor: math.MaxFloat64},
		{Min: 1, Max: forever, Factor: 1.0000001},
	} {
		before := time.Duration(0)
		for _, attempt := range []int{0, 1, 2, 62, 63, 64, 1000, 1 << 20, math.MaxInt32, math.MaxInt - 1, math.MaxInt} {
			ceiling := p.Ceiling(attempt)
			require.GreaterOrEqual(t, ceiling, before, "%+v, attempt %d", p, attempt)
			require.Positive(t, ceiling)
			before = ceiling
		}
		if p.Max > 0 {
			require.Equal(t, forever, before, "%+v", p)
		}
	}
}
