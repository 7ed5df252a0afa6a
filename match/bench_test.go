package match

import (
	"fmt"
	"testing"
)

// BenchmarkTreeValues is about many subscribers of one filter: around the length
// from which they are indexed, and far beyond.
func BenchmarkTreeValues(b *testing.B) {
	for _, n := range []int{1, indexFrom - 1, indexFrom, 10_000} {
		var tree Tree[int]
		for i := range n {
			tree.Insert("site/7/+", i)
		}
		b.Run(fmt.Sprintf("insert-delete-%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tree.Insert("site/7/+", -1)
				tree.Delete("site/7/+", -1)
			}
		})
		b.Run(fmt.Sprintf("append-%d", n), func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]int, 0, n)
			for b.Loop() {
				if dst = tree.Append(dst[:0], "site/7/temp"); len(dst) != n {
					b.Fatal(len(dst))
				}
			}
		})
	}
}

func BenchmarkSplitShared(b *testing.B) {
	for _, filter := range []string{"$share/group/sensors/+/temp", "sensors/+/temp"} {
		b.Run(filter, func(b *testing.B) {
			for b.Loop() {
				SplitShared(filter)
			}
		})
	}
}
