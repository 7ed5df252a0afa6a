package brief

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTextIsCutBetweenCharacters(t *testing.T) {
	require.Empty(t, Text(""))
	require.Equal(t, strings.Repeat("x", Limit), Text(strings.Repeat("x", Limit)))
	require.Equal(t, strings.Repeat("x", Limit)+"…", Text(strings.Repeat("x", Limit+1)))
	require.Equal(t, "x"+strings.Repeat("é", Limit/2-1)+"…", Text("x"+strings.Repeat("é", Limit)))
}
