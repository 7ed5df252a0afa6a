package bolt_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// FuzzFile does what the bytes say, two for each operation, with a file, a Mem and a
// map; all three have to agree.
func FuzzFile(f *testing.F) {
	f.Add([]byte("\x00\x01\x08\x02\xff\x00\x10\x03\x01\x00\xfe\x00\x00\x01"))
	f.Add([]byte("\x00\xff\x01\xff\x02\xff\x03\xff\x04\xff\xff\x00\x80\x00\x81\x00\x82\x00\xfd\x00\x83\x00\xff\x01"))
	f.Add([]byte(strings.Repeat("\x05\xf0\x06\xf1\x85\x00\xff\x02", 8)))
	f.Fuzz(func(t *testing.T, script []byte) {
		path := filepath.Join(t.TempDir(), "store")
		openFile := func() *bolt.File {
			file, err := bolt.Open(path, bolt.Config{NoSync: true})
			require.NoError(t, err)
			return file
		}
		file, memory, model := openFile(), store.Memory(), map[string]string{}
		var ops []store.Op
		commit := func() {
			for _, op := range ops {
				if op.Delete {
					delete(model, string(op.Key))
				} else {
					model[string(op.Key)] = string(op.Value)
				}
			}
			require.NoError(t, file.Commit(ops))
			require.NoError(t, memory.Commit(ops))
			ops = nil
		}
		for len(script) >= 2 && len(script) < 300 {
			what, n := script[0], script[1]
			script = script[2:]
			switch {
			case what == 0xff:
				commit()
			case what == 0xfe:
				require.NoError(t, file.Close())
				file = openFile()
			case what == 0xfd:
				prefix := fuzzKey(n)[:1+int(n)%3]
				require.Equal(t, prefixed(model, prefix), scanned(t, file, prefix))
				require.Equal(t, prefixed(model, prefix), scanned(t, memory, prefix))
			case what >= 0x80:
				ops = append(ops, del(fuzzKey(what&0x7f))...)
			default:
				ops = append(ops, set(fuzzKey(what), strings.Repeat(fmt.Sprint(n), int(n)*16))...)
			}
		}
		commit()
		require.NoError(t, file.Close())
		file = openFile()
		require.Equal(t, prefixed(model, ""), scanned(t, file, ""))
		require.Equal(t, prefixed(model, ""), scanned(t, memory, ""))
		require.NoError(t, file.Close())
	})
}

// fuzzKey returns one of 128 keys, of all lengths.
func fuzzKey(n byte) string {
	return strings.Repeat(string('a'+rune(n%5)), 3+int(n%8)*145) + fmt.Sprint(n)
}

func prefixed(model map[string]string, prefix string) []string {
	found := []string{}
	for _, key := range slices.Sorted(maps.Keys(model)) {
		if strings.HasPrefix(key, prefix) {
			found = append(found, key+"="+model[key])
		}
	}
	return found
}

func scanned(t *testing.T, s store.Store, prefix string) []string {
	found := []string{}
	for r, err := range s.Scan([]byte(prefix)) {
		require.NoError(t, err)
		found = append(found, string(r.Key)+"="+string(r.Value))
	}
	return found
}

// FuzzDamage changes a byte of a file and cuts it off.
func FuzzDamage(f *testing.F) {
	content := sample(f)
	f.Add(uint32(16), byte(1), uint32(0))
	f.Add(uint32(4096+16+12), byte(0xff), uint32(0))
	f.Add(uint32(5*4096+8), byte(3), uint32(4096))
	f.Fuzz(func(t *testing.T, at uint32, flip byte, missing uint32) {
		damaged := slices.Clone(content)
		damaged[int(at)%len(damaged)] ^= flip
		size := 4<<20 - int64(missing%(4<<20))
		if err := use(t, damaged, size); flip == 0 && missing%(4<<20) == 0 {
			require.NoError(t, err)
		}
	})
}
