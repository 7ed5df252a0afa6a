package bolt_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// Each Commit replaces one of a thousand records.
func benchmarkOp(i int) []store.Op {
	return []store.Op{{Key: fmt.Appendf(nil, "queued/%04d", i%1000), Value: make([]byte, 256)}}
}

func BenchmarkCommit(b *testing.B) {
	for _, config := range []struct {
		name string
		bolt.Config
	}{{"sync", bolt.Config{}}, {"nosync", bolt.Config{NoSync: true}}} {
		f, err := bolt.Open(filepath.Join(b.TempDir(), "store"), config.Config)
		require.NoError(b, err)
		b.Run(config.name+"/alone", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				require.NoError(b, f.Commit(benchmarkOp(i)))
			}
		})
		for _, goroutines := range []int{16, 256} {
			b.Run(fmt.Sprintf("%s/%d", config.name, goroutines), func(b *testing.B) {
				b.ReportAllocs()
				commitTogether(b, f, goroutines)
			})
		}
		require.NoError(b, f.Close())
	}
}

func commitTogether(b *testing.B, f *bolt.File, goroutines int) {
	var next atomic.Int64
	work, done := make(chan struct{}), make(chan error, goroutines)
	for range goroutines {
		go func() {
			var failed error
			for range work {
				if err := f.Commit(benchmarkOp(int(next.Add(1)))); err != nil {
					failed = err
				}
			}
			done <- failed
		}()
	}
	for b.Loop() {
		work <- struct{}{}
	}
	close(work)
	for range goroutines {
		require.NoError(b, <-done)
	}
}

func BenchmarkScan(b *testing.B) {
	f := open(b, filepath.Join(b.TempDir(), "store"))
	var ops []store.Op
	for i := range 1000 {
		ops = append(ops, benchmarkOp(i)...)
	}
	require.NoError(b, f.Commit(ops))
	b.SetBytes(1000 * 256)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range f.Scan([]byte("queued/")) {
			require.NoError(b, err)
			n++
		}
		require.Equal(b, 1000, n)
	}
	require.NoError(b, f.Close())
}
