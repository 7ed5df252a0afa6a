package match

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestChildrenDoNotKeepTheTextTheyWereMadeFrom(t *testing.T) {
	text := "a/+b/+"
	var tree Tree[int]
	tree.Insert(text[:3], 1)
	tree.Insert(text[3:], 2)
	for level := range tree.wild.children.all() {
		require.NotSame(t, unsafe.StringData(text[:1]), unsafe.StringData(level))
		require.NotSame(t, unsafe.StringData(text[3:]), unsafe.StringData(level))
	}
	require.Equal(t, 2, tree.wild.children.len())
}

func TestChildrenHaveAMapOnlyWhileThereAreSeveral(t *testing.T) {
	var c children[int]
	a, b := new(int), new(int)
	c.set("a", a)
	c.set("a", a)
	require.Same(t, a, c.at("a"))
	require.Nil(t, c.many)

	c.set("b", b)
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
