package store_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/storetest"
)

var key = bytes.Repeat([]byte{7}, 32)

func encrypt(t testing.TB, s store.Store) store.Store {
	t.Helper()
	e, err := store.Encrypt(s, key)
	require.NoError(t, err)
	return e
}

func records(t testing.TB, s store.Store, prefix string) (found []string) {
	t.Helper()
	for r, err := range s.Scan([]byte(prefix)) {
		require.NoError(t, err)
		found = append(found, string(r.Key)+"="+string(r.Value))
	}
	return found
}

func put(key, value string) []store.Op {
	return []store.Op{{Key: []byte(key), Value: []byte(value)}}
}

func TestAnEncryptedStoreIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return encrypt(t, store.Memory()) }, nil)
}

func TestEncryptedValuesCannotBeRead(t *testing.T) {
	s := store.Memory()
	e := encrypt(t, s)
	secret := strings.Repeat("attack at dawn ", 20)
	require.NoError(t, e.Commit(put("queued/1", secret)))
	require.NoError(t, e.Commit(put("queued/2", secret)))
	values := map[string]bool{}
	for r, err := range s.Scan(nil) {
		require.NoError(t, err)
		require.NotContains(t, string(r.Value), "attack")
		values[string(r.Value)] = true
	}
	require.Len(t, values, 3) // equal values do not look equal; one is the mark
	require.Equal(t, []string{"queued/1=" + secret, "queued/2=" + secret}, records(t, e, ""))
	require.Equal(t, []string{"queued/2=" + secret}, records(t, e, "queued/2"))
}

func TestTheSameKeyOpensAnEncryptedStore(t *testing.T) {
	s := store.Memory()
	require.NoError(t, encrypt(t, s).Commit(put("a", "1")))
	require.Equal(t, []string{"a=1"}, records(t, encrypt(t, s), ""))
}

func TestAnotherKeyIsAClearError(t *testing.T) {
	s := store.Memory()
	e := encrypt(t, s)
	other := bytes.Repeat([]byte{8}, 32)
	for range 2 { // without a record and with one
		before := records(t, s, "")
		_, err := store.Encrypt(s, other)
		require.ErrorIs(t, err, store.ErrWrongKey)
		require.EqualError(t, err, "store: encrypt: not encrypted with this key")
		require.Equal(t, before, records(t, s, ""))
		require.NoError(t, e.Commit(put("a", "1")))
	}
	require.Equal(t, []string{"a=1"}, records(t, encrypt(t, s), ""))
}

func TestAStoreWithoutEncryptionIsLeftAlone(t *testing.T) {
	s := store.Memory()
	require.NoError(t, s.Commit(put("a", "1")))
	_, err := store.Encrypt(s, key)
	require.ErrorIs(t, err, store.ErrWrongKey)
	require.Equal(t, []string{"a=1"}, records(t, s, ""))
}

// Salvaging a damaged file may have lost it.
func TestTheMarkOfTheKeyIsMadeAnew(t *testing.T) {
	s := store.Memory()
	e := encrypt(t, s)
	require.NoError(t, e.Commit(put("b", "2")))
	require.NoError(t, s.Commit([]store.Op{{Key: []byte("\x00store.Encrypt"), Delete: true}}))
	require.NoError(t, s.Commit(put("a", "not encrypted")))

	_, err := store.Encrypt(s, bytes.Repeat([]byte{8}, 32))
	require.ErrorIs(t, err, store.ErrWrongKey)
	e = encrypt(t, s)
	require.NoError(t, e.Commit([]store.Op{{Key: []byte("a"), Delete: true}, {Key: []byte("b"), Delete: true}}))
	_, err = store.Encrypt(s, bytes.Repeat([]byte{8}, 32))
	require.ErrorIs(t, err, store.ErrWrongKey)
}

func TestANewerFormatOfEncryptionIsAClearError(t *testing.T) {
	s := store.Memory()
	require.NoError(t, s.Commit(put("\x00store.Encrypt", "\x02of the future")))
	_, err := store.Encrypt(s, key)
	require.ErrorContains(t, err, "newer version of this package has encrypted it, in format 2")
}

func TestAKeyHas32Bytes(t *testing.T) {
	for _, size := range []int{0, 16, 31, 33, 64} {
		_, err := store.Encrypt(store.Memory(), make([]byte, size))
		require.ErrorContains(t, err, "32 bytes")
	}
}

func TestEncryptSaysThatAStoreIsClosed(t *testing.T) {
	s := store.Memory()
	require.NoError(t, s.Close())
	_, err := store.Encrypt(s, key)
	require.ErrorIs(t, err, store.ErrClosed)
}

func TestTheMarkOfTheKeyIsReserved(t *testing.T) {
	e := encrypt(t, store.Memory())
	require.ErrorIs(t, e.Commit(put("\x00store.Encrypt", "x")), store.ErrKey)
	require.NoError(t, e.Commit(put("\x00store.Encrypt 2", "x")))
	require.Equal(t, []string{"\x00store.Encrypt 2=x"}, records(t, e, ""))
}

func TestAValueThatWasChangedIsAnError(t *testing.T) {
	s := store.Memory()
	e := encrypt(t, s)
	require.NoError(t, e.Commit(put("a", "1")))
	require.NoError(t, e.Commit(put("b", "2")))
	sealed := map[string][]byte{}
	for r, err := range s.Scan(nil) {
		require.NoError(t, err)
		sealed[string(r.Key)] = bytes.Clone(r.Value)
	}
	refused := func(value []byte) {
		t.Helper()
		require.NoError(t, s.Commit(put("b", string(value))))
		var keys []string
		var failed error
		for r, err := range e.Scan(nil) {
			if failed = err; err == nil {
				keys = append(keys, string(r.Key))
			}
		}
		require.ErrorContains(t, failed, `"b"`)
		require.Equal(t, []string{"a"}, keys)
	}
	refused(sealed["a"]) // it belongs to another key
	for i := range sealed["b"] {
		changed := bytes.Clone(sealed["b"])
		changed[i] ^= 1
		refused(changed)
		refused(sealed["b"][:i])
	}
	refused(append(sealed["b"], 0))
}

// FuzzEncrypt puts bytes in the place of an encrypted value: they must not be taken for
// one. Then it writes them as a value of their own.
func FuzzEncrypt(f *testing.F) {
	f.Add([]byte("a"), []byte(""))
	f.Add([]byte("\x00store.Encrypt"), []byte("\x01"))
	f.Add([]byte("long"), append([]byte{1}, make([]byte, 40)...))
	f.Fuzz(func(t *testing.T, name, value []byte) {
		s := store.Memory()
		e := encrypt(t, s)
		ops := []store.Op{{Key: name, Value: value}}
		if store.Check(ops) != nil {
			require.ErrorIs(t, e.Commit(ops), store.ErrKey)
			return
		}
		require.NoError(t, s.Commit(ops))
		if string(name) == "\x00store.Encrypt" {
			_, err := store.Encrypt(s, key)
			require.Error(t, err)
			require.ErrorIs(t, e.Commit(ops), store.ErrKey)
			return
		}
		n := 0
		for _, err := range e.Scan(nil) {
			require.Error(t, err)
			n++
		}
		require.Equal(t, 1, n)
		require.NoError(t, e.Commit(ops))
		require.Equal(t, []string{string(name) + "=" + string(value)}, records(t, encrypt(t, s), ""))
	})
}
