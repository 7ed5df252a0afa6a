package list

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

type element struct {
	Place[*element]
	n int
}

func numbers(l *List[*element]) (all []int) {
	for e := l.First(); e != nil; e = e.next {
		all = append(all, e.n)
	}
	var back []int
	for e := l.Last(); e != nil; e = e.prev {
		back = append(back, e.n)
	}
	slices.Reverse(back)
	if !slices.Equal(all, back) {
		panic("the two directions differ")
	}
	return all
}

func TestElementsAreTakenOutOfAnyPlace(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		var l List[*element]
		left := []int{0, 1, 2}
		elements := []*element{{n: 0}, {n: 1}, {n: 2}}
		for _, e := range elements {
			l.Push(e)
		}
		for _, n := range order {
			l.Remove(elements[n])
			left = slices.DeleteFunc(left, func(each int) bool { return each == n })
			require.ElementsMatch(t, left, numbers(&l))
			require.True(t, slices.IsSorted(numbers(&l)))
		}
		require.Nil(t, l.First())
		l.Push(elements[1]) // again
		require.Equal(t, []int{1}, numbers(&l))
	}
}
