package match

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSetDoesNotKeepWhatWasRemoved(t *testing.T) {
	var s set[*int]
	s.add(new(1))
	gone := new(2)
	s.add(gone)
	s.remove(gone)
	require.Nil(t, s.list[:2][1])
}

func TestSetGivesBackWhatItHadGrownTo(t *testing.T) {
	var s set[int]
	for i := range 10_000 {
		s.add(i)
	}
	require.NotNil(t, s.index)
	for i := range 9_990 {
		s.remove(i)
	}
	require.Nil(t, s.index)
	require.Less(t, cap(s.list), indexFrom)
	require.ElementsMatch(t, []int{9990, 9991, 9992, 9993, 9994, 9995, 9996, 9997, 9998, 9999}, s.list)
}
