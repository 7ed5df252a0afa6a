package mqtt

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// fill gives every number below v another value, which the next has too if n counts on.
func fill(v reflect.Value, n *int64) {
	switch v.Kind() {
	case reflect.Struct:
		for _, value := range v.Fields() {
			fill(value, n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), n)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[ReasonCode]uint64{ServerBusy: 1}))
	default:
		*n++
		v.Set(reflect.ValueOf(*n).Convert(v.Type()))
	}
}

// requireTwice checks that every number below sum is twice that of o, except for those
// that cannot be added.
func requireTwice(t *testing.T, path, name string, o, sum reflect.Value) {
	t.Helper()
	switch o.Kind() {
	case reflect.Struct:
		for field, value := range o.Fields() {
			requireTwice(t, path+"."+field.Name, field.Name, value, sum.FieldByIndex(field.Index))
		}
	case reflect.Slice:
		requireTwice(t, path, name, o.Index(0), sum.Index(0))
	case reflect.Map:
		require.Equal(t, map[ReasonCode]uint64{ServerBusy: 2}, sum.Interface(), path)
	default:
		times := int64(2)
		switch name {
		case "Age", "Last", "Min", "Max", "AtMost":
			times = 1
		}
		number := reflect.TypeFor[int64]()
		require.Equal(t, times*o.Convert(number).Int(), sum.Convert(number).Int(), path)
	}
}

// The connections of Subscriptions are added to that of the client. What add forgets would
// not be seen.
func TestStatsAreAddedInFull(t *testing.T) {
	var o, sum Stats
	var n int64
	fill(reflect.ValueOf(&o).Elem(), &n)
	require.Greater(t, n, int64(50))
	sum.add(o)
	require.Equal(t, o, sum)
	sum.add(o)
	requireTwice(t, "Stats", "", reflect.ValueOf(o), reflect.ValueOf(sum))
	sum.add(Stats{})
	requireTwice(t, "Stats", "", reflect.ValueOf(o), reflect.ValueOf(sum))
}

func TestStatsAreCopies(t *testing.T) {
	var c counters
	countCode(&c.outcome().attempts.Refused, ServerBusy)
	shown := c.shown()
	countCode(&c.outcome().attempts.Refused, ServerBusy)
	require.Equal(t, map[ReasonCode]uint64{ServerBusy: 1}, shown.attempts.Refused)
	sum := FailedAttempts{}
	sum.add(shown.attempts)
	sum.add(shown.attempts)
	require.Equal(t, map[ReasonCode]uint64{ServerBusy: 1}, shown.attempts.Refused)
	require.Equal(t, map[ReasonCode]uint64{ServerBusy: 2}, sum.Refused)
}
