package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVariableByteIntegers(t *testing.T) {
	require.Len(t, vectors().Primitives.Varints, 21)
	for _, row := range vectors().Primitives.Varints {
		b := unhex(t, row.Hex)
		x, n := readVarint(b)
		switch {
		case row.Incomplete:
			require.Zero(t, n, row.Hex)
			continue
		case !row.Valid && !row.Valid311:
			require.Negative(t, n, row.Hex)
			continue
		}
		require.Equal(t, row.Value, x, row.Hex)
		require.Equal(t, len(b), n, row.Hex)

		c := cursor{b: b}
		require.Equal(t, row.Valid, c.varint() == row.Value && c.end() == nil, row.Hex)
		_, _, err := ParseHeader(append([]byte{0xd0}, b...), V5)
		require.Equal(t, row.Valid, err == nil, row.Hex)
		h, _, err := ParseHeader(append([]byte{0xd0}, b...), V311)
		require.NoError(t, err, row.Hex)
		require.Equal(t, int(row.Value), h.Length)
		if row.Valid {
			require.Equal(t, b, appendVarint(nil, int(x)))
			require.Equal(t, len(b), varintSize(int(x)))
		}
	}
}

func TestStrings(t *testing.T) {
	require.Len(t, vectors().Primitives.Strings, 21)
	for _, row := range vectors().Primitives.Strings {
		b := unhex(t, row.Hex)
		c := cursor{b: b}
		s := c.string()
		err := c.end()
		require.Equal(t, row.Valid, err == nil, row.Hex)
		if !row.Valid {
			require.ErrorIs(t, err, MalformedPacket)
			continue
		}
		require.Equal(t, row.Text, s)
		e := encoder{}
		e.string("", s)
		require.NoError(t, e.err)
		e.writing = true
		e.string("", s)
		require.Equal(t, b, e.b)
	}
}

func TestTopicNamesAndFilters(t *testing.T) {
	require.NotEmpty(t, vectors().Primitives.Names)
	for _, row := range vectors().Primitives.Names {
		valid := validText([]byte(row.Text)) && validTopicName(row.Text)
		require.Equal(t, row.Valid, valid, "%q", row.Text)
	}
	require.NotEmpty(t, vectors().Primitives.Filters)
	for _, row := range vectors().Primitives.Filters {
		require.Equal(t, row.Valid, validFilter(row.Text, V5), "%q", row.Text)
	}
	require.True(t, validFilter("$share/g", V311), "shared filters came with 5.0")
	require.True(t, validFilter("$shared/g", V5))
}
