package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnginesKeepWhatTheyAreGiven(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e, err := open(dir)
			require.NoError(t, err)
			value := make([]byte, 300)
			require.NoError(t, e.Commit([]op{{key: 1, value: value}, {key: 2, value: value}}))
			require.NoError(t, publish(e, 8, 100))
			require.NoError(t, e.Commit([]op{{key: 200, value: value}}))
			require.NoError(t, e.Close())
			e, err = open(dir)
			require.NoError(t, err)
			n, err := e.Count()
			require.NoError(t, err)
			require.Equal(t, 1, n) // publish has used and removed the others
			require.NoError(t, e.Close())
		})
	}
}
