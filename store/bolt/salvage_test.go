package bolt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// original is a file with what is in it.
type original struct {
	content []byte
	// now has the records, before those without the last Commit.
	now, before map[string]string
	// ways has for each record the pages that lead to it, the last of them its own.
	ways map[string][]int
	// own has for each record where its own pages begin in its way.
	own map[string]int
}

// newOriginal makes a file of several levels of pages that has seen many Commits, so
// that it has older versions of most pages.
func newOriginal(t testing.TB, keys int) *original {
	path := filepath.Join(t.TempDir(), "store")
	f, err := bolt.Open(path, bolt.Config{NoSync: true})
	require.NoError(t, err)
	o := &original{now: map[string]string{}, ways: map[string][]int{}, own: map[string]int{}}
	random := rand.New(rand.NewPCG(uint64(keys), 7))
	for range 60 {
		o.before = maps.Clone(o.now)
		var ops []store.Op
		for range 1 + keys/20 {
			key := fmt.Sprintf("key/%0150d", random.IntN(keys))
			value := fmt.Sprintf("%d %s", random.Uint32(), make([]byte, random.IntN(60)))
			if random.IntN(40) == 0 {
				value += string(make([]byte, 9_000))
			}
			if random.IntN(4) == 0 {
				ops = append(ops, del(key)...)
				delete(o.now, key)
			} else {
				ops = append(ops, set(key, value)...)
				o.now[key] = value
			}
		}
		require.NoError(t, f.Commit(ops))
	}
	require.NoError(t, f.Close())
	o.content, err = os.ReadFile(path)
	require.NoError(t, err)
	// The meta pages have the number of pages.
	order := binary.NativeEndian
	o.content = o.content[:4096*max(order.Uint64(o.content[16+40:]), order.Uint64(o.content[4096+16+40:]))]
	o.follow(t)
	return o
}

// top returns the newer meta page, and the page with the bucket to which it leads.
func (o *original) top() (meta, root int) {
	order := binary.NativeEndian
	if order.Uint64(o.content[4096+16+48:]) > order.Uint64(o.content[16+48:]) {
		meta = 1
	}
	return meta, int(order.Uint64(o.content[4096*meta+16+16:]))
}

// follow finds the way to each record.
func (o *original) follow(t testing.TB) {
	order := binary.NativeEndian
	_, root := o.top()
	bucket := 4096*root + 32 + len(bolt.BucketName())
	if top := int(order.Uint64(o.content[bucket:])); top != 0 {
		o.followPage(top, []int{root})
	} else {
		o.followLeaf(o.content[bucket+16:], []int{root}, 0)
	}
	require.Equal(t, slices.Sorted(maps.Keys(o.now)), slices.Sorted(maps.Keys(o.ways)))
}

func (o *original) followPage(id int, way []int) {
	order, page := binary.NativeEndian, o.content[4096*id:]
	way = append(slices.Clone(way), id)
	if order.Uint16(page[8:]) == 2 {
		own := len(way) - 1
		for i := range int(order.Uint32(page[12:])) {
			way = append(way, id+1+i)
		}
		o.followLeaf(page, way, own)
		return
	}
	for i := range int(order.Uint16(page[10:])) {
		o.followPage(int(order.Uint64(page[16+16*i+8:])), way)
	}
}

func (o *original) followLeaf(page []byte, way []int, own int) {
	order := binary.NativeEndian
	for i := range int(order.Uint16(page[10:])) {
		e := page[16+16*i:]
		key := string(e[order.Uint32(e[4:]):][:order.Uint32(e[8:])])
		o.ways[key], o.own[key] = way, own
	}
}

// salvage opens a damaged file and returns its records, and whether they were salvaged.
func salvage(t testing.TB, damaged []byte) (found map[string]string, aside string, err error) {
	path := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.WriteFile(path, damaged, 0o600))
	f, err := bolt.Open(path, bolt.Config{NoSync: true, Salvage: func(path string, damage error) {
		require.Empty(t, aside)
		require.Error(t, damage)
		aside = path
	}})
	if err != nil {
		require.Equal(t, []string{"store"}, names(t, filepath.Dir(path)))
		after, readErr := os.ReadFile(path)
		require.NoError(t, readErr)
		require.True(t, bytes.Equal(damaged, after))
		return nil, "", err
	}
	found = map[string]string{}
	for r, err := range f.Scan(nil) {
		require.NoError(t, err)
		found[string(r.Key)] = string(r.Value)
	}
	require.NoError(t, f.Commit(set("new", "1")))
	require.NoError(t, f.Close())
	if aside != "" {
		kept, err := os.ReadFile(aside)
		require.NoError(t, err)
		require.True(t, bytes.Equal(damaged, kept))
	}
	return found, aside, nil
}

func TestOneWrongByteCostsNothingOutsideItsPage(t *testing.T) {
	for _, keys := range []int{5, 40, 600} {
		o := newOriginal(t, keys)
		random := rand.New(rand.NewPCG(uint64(keys), 1))
		salvaged := 0
		for range 50 {
			at := random.IntN(len(o.content))
			if random.IntN(2) == 0 { // what is easily fatal
				at = at/4096*4096 + random.IntN(96)
			}
			salvaged += o.flip(t, at, byte(1+random.IntN(255)))
		}
		require.NotZero(t, salvaged)
	}
}

// flip changes a byte. It returns 1 if the file was salvaged.
func (o *original) flip(t testing.TB, at int, bits byte) int {
	damaged := slices.Clone(o.content)
	damaged[at] ^= bits
	what := fmt.Sprintf("byte %d of page %d ^ %#x", at%4096, at/4096, bits)
	found, aside, err := salvage(t, damaged)
	if err != nil {
		require.ErrorIs(t, err, bolt.ErrForeign, what) // it looks like a newer version's
		return 0
	}
	for key, value := range found {
		require.Equal(t, o.now[key], value, "%s: %q", what, key)
	}
	for key := range o.now {
		if _, ok := found[key]; !ok {
			require.Contains(t, o.ways[key][o.own[key]:], at/4096, "%s: %q", what, key)
		}
	}
	if aside == "" {
		require.Len(t, found, len(o.now), what)
		return 0
	}
	return 1
}

func TestAPageThatIsGoneCostsWhatItLeadsTo(t *testing.T) {
	for _, keys := range []int{5, 40, 600} {
		o := newOriginal(t, keys)
		for page := 0; page < len(o.content)/4096; page += 1 + keys/200 {
			damaged := slices.Clone(o.content)
			clear(damaged[4096*page:][:4096])
			o.kept(t, damaged, func(p int) bool { return p != page }, fmt.Sprint("without page ", page))
		}
	}
}

func TestAFileThatWasCutOffIsSalvaged(t *testing.T) {
	for _, keys := range []int{5, 40, 600} {
		o := newOriginal(t, keys)
		for page := 1; page < len(o.content)/4096; page += 1 + keys/100 {
			for _, size := range []int{4096 * page, 4096*page + 1000} {
				o.kept(t, o.content[:size], func(p int) bool { return p < page }, fmt.Sprint("cut off at ", size))
			}
		}
	}
}

// kept opens a file in which only some pages are left.
func (o *original) kept(t testing.TB, damaged []byte, left func(page int) bool, what string) {
	found, _, err := salvage(t, damaged)
	require.NoError(t, err, what)
	if meta, root := o.top(); !left(meta) || !left(root) {
		// The last Commit is undone if what leads to its records is lost.
		same := 0
		for key, value := range found {
			if o.before[key] == value {
				same++
			}
		}
		if same == len(found) {
			return
		}
	}
	for key, value := range found {
		require.Equal(t, o.now[key], value, "%s: %q", what, key)
	}
	for key := range o.now {
		if _, ok := found[key]; !ok {
			require.True(t, slices.ContainsFunc(o.ways[key], func(p int) bool { return !left(p) }), "%s: %q", what, key)
		}
	}
}

func TestSalvageLeavesASoundFileAndOthersAlone(t *testing.T) {
	o := newOriginal(t, 40)
	found, aside, err := salvage(t, o.content)
	require.NoError(t, err)
	require.Empty(t, aside)
	require.Equal(t, o.now, found)

	path := filepath.Join(t.TempDir(), "other")
	db, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("accounts"))
		return err
	}))
	require.NoError(t, db.Close())
	other, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, content := range [][]byte{other, []byte("hello\n"), bytes.Repeat([]byte("0123456789abcdef"), 10_000), make([]byte, 1<<16)} {
		_, _, err := salvage(t, content)
		require.ErrorIs(t, err, bolt.ErrForeign, "%.16q", content)
	}
}

func TestSalvageNeverTakesWhatAnotherHas(t *testing.T) {
	o := newOriginal(t, 40)
	path := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.WriteFile(path, o.content, 0o600))
	f := open(t, path)
	require.NoError(t, os.Truncate(path, 3*4096))
	_, err := bolt.Open(path, bolt.Config{LockTimeout: -1, Salvage: func(string, error) { t.Error("salvaged") }})
	require.ErrorIs(t, err, bolt.ErrLocked)
	require.NoError(t, f.Close())
	require.Equal(t, []string{"store"}, names(t, filepath.Dir(path)))
}

func TestDamagedFilesAreKeptApart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	var kept []string
	config := bolt.Config{Salvage: func(aside string, damage error) {
		require.ErrorIs(t, damage, bolt.ErrDamaged)
		require.ErrorContains(t, damage, "open "+path)
		kept = append(kept, filepath.Base(aside))
	}}
	for range 3 {
		f, err := bolt.Open(path, config)
		require.NoError(t, err)
		require.NoError(t, f.Commit(set("a", "1")))
		require.NoError(t, f.Close())
		require.NoError(t, os.Truncate(path, 3*4096))
	}
	f, err := bolt.Open(path, config)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, []string{"store.damaged1", "store.damaged2", "store.damaged3"}, kept)
	require.Equal(t, []string{"store", "store.damaged1", "store.damaged2", "store.damaged3"}, names(t, filepath.Dir(path)))
}

// FuzzSalvage changes some bytes of a file and cuts it off. What is salvaged are records
// that were committed at some time.
func FuzzSalvage(f *testing.F) {
	o := newOriginal(f, 40)
	f.Add([]byte{0, 0, 16, 1}, uint32(0))
	f.Add([]byte{0, 3, 40, 1, 0, 1, 20, 255}, uint32(5000))
	f.Fuzz(func(t *testing.T, changes []byte, missing uint32) {
		damaged := slices.Clone(o.content)
		for ; len(changes) >= 4; changes = changes[4:] {
			at := int(changes[0])<<16 | int(changes[1])<<12 | int(changes[2])<<4
			damaged[at%len(damaged)] ^= changes[3]
		}
		damaged = damaged[:len(damaged)-int(missing)%len(damaged)]
		if _, _, err := salvage(t, damaged); err != nil {
			require.True(t, errors.Is(err, bolt.ErrForeign) || errors.Is(err, bolt.ErrDamaged), "%v", err)
		}
	})
}
