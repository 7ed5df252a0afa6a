package match

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestChildrenDoNotKeepTheTextTheyWereMadeFrom(t *testing.T) {
	text := "a/b"
	var c children[int]
	for _, level := range []string{text[:1], text[2:]} {
		c.add(level)
	}
	for level := range c.all() {
		require.NotSame(t, unsafe.StringData(text[:1]), unsafe.StringData(level))
		require.NotSame(t, unsafe.StringData(text[2:]), unsafe.StringData(level))
	}
	require.Equal(t, 2, c.len())
}

func TestChildrenHaveAMapOnlyWhileThereAreSeveral(t *testing.T) {
	var c children[int]
	a := c.add("a")
	require.Same(t, a, c.add("a"))
	require.Nil(t, c.many)

	b := c.add("b")
	require.Len(t, c.many, 2)
	require.Same(t, a, c.at("a"))
	require.Same(t, b, c.at("b"))
	require.Nil(t, c.at("c"))

	c.remove("c")
	c.remove("a")
	require.Nil(t, c.many)
	require.Same(t, b, c.at("b"))
	c.remove("a")
	require.Same(t, b, c.at("b"))
	c.remove("b")
	require.Equal(t, children[int]{}, c)
}
