package bolt_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store/bolt"
)

func init() {
	children["full disk"] = withFullDisk
	children["full disk from the beginning"] = withFullDiskFromTheBeginning
	children["full disk for what is salvaged"] = withFullDiskForWhatIsSalvaged
	children["no space to set aside"] = withoutSpaceToSetAside
}

func TestAFullDiskFailsWhatDoesNotFit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	runChild(t, "full disk", path)
	f := open(t, path)
	require.Equal(t, []string{"after=1", "before=1", "large=1000000"}, lengths(t, f))
	require.NoError(t, f.Close())
}

// lengths returns the records with the lengths of long values in place of them.
func lengths(t testing.TB, f *bolt.File) (found []string) {
	for _, r := range records(t, f) {
		if key, value, _ := strings.Cut(r, "="); len(value) > 100 {
			r = fmt.Sprintf("%s=%d", key, len(value))
		}
		found = append(found, r)
	}
	return found
}

// withFullDisk limits the size of files, below and above what the file has reserved
// already: in one case writing fails as it does on a full disk, in the other
// growing.
func withFullDisk(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	f, err := bolt.Open(path, bolt.Config{})
	if err != nil {
		return err
	}
	before, after := set("before", "1"), set("after", "1")
	large := set("large", string(make([]byte, 1_000_000)))
	huge := set("huge", string(make([]byte, 10_000_000)))
	if err := errors.Join(f.Commit(before), f.Commit(set("small", "x")), f.Commit(del("small"))); err != nil {
		return err
	}
	for range 3 {
		err := limited(syscall.RLIMIT_FSIZE, 100_000, func() error { return f.Commit(large) })
		if !errors.Is(err, syscall.EFBIG) {
			return fmt.Errorf("large: %w", err)
		}
		// It goes into the room that there is.
		err = limited(syscall.RLIMIT_FSIZE, 100_000, func() error { return f.Commit(set("before", "1")) })
		if err != nil {
			return fmt.Errorf("small: %w", err)
		}
	}
	if err := f.Commit(large); err != nil {
		return err
	}
	err = limited(syscall.RLIMIT_FSIZE, 5<<20, func() error { return f.Commit(huge) })
	if err == nil || !strings.Contains(err.Error(), "file too large") { // bbolt keeps the text only
		return fmt.Errorf("huge: %w", err)
	}
	return errors.Join(f.Commit(after), f.Close())
}

func TestAFullDiskLeavesNothingOfANewStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	runChild(t, "full disk from the beginning", path)
	f := open(t, path)
	require.Equal(t, []string{"a=1"}, records(t, f))
	require.NoError(t, f.Close())
	require.Equal(t, []string{"store"}, names(t, filepath.Dir(path)))
}

func withFullDiskFromTheBeginning(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	for _, limit := range []uint64{0, 5000, 16384} {
		err := limited(syscall.RLIMIT_FSIZE, limit, func() error {
			_, err := bolt.Open(path, bolt.Config{})
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "file too large") {
			return fmt.Errorf("open with %d bytes: %w", limit, err)
		}
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) > 0 {
			return fmt.Errorf("it leaves %v, %w", entries, err)
		}
	}
	f, err := bolt.Open(path, bolt.Config{})
	if err != nil {
		return err
	}
	if err := errors.Join(f.Commit(set("a", "1")), f.Close()); err != nil {
		return err
	}
	// A store that exists can be read and changed on a full disk.
	return limited(syscall.RLIMIT_FSIZE, 100_000, func() error {
		f, err := bolt.Open(path, bolt.Config{})
		if err != nil {
			return err
		}
		return errors.Join(f.Commit(set("a", "2")), f.Commit(set("a", "1")), f.Close())
	})
}

func TestSpaceOfAFileIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	f := open(t, path)
	for i := range 40 {
		require.NoError(t, f.Commit(set(fmt.Sprint(i), string(make([]byte, i*20_000)))))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.GreaterOrEqual(t, info.Sys().(*syscall.Stat_t).Blocks*512, info.Size())
	}
	require.NoError(t, f.Close())

	// Holes, as earlier versions leave them, are filled.
	require.NoError(t, os.Truncate(path, 2*fileSize(t, path)))
	require.NoError(t, open(t, path).Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.GreaterOrEqual(t, info.Sys().(*syscall.Stat_t).Blocks*512, info.Size())
}

func TestAFileGrowsWhereSpaceCannotBeSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	runChild(t, "no space to set aside", path)
	f := open(t, path)
	require.Equal(t, []string{"a=1", "large=1000000"}, lengths(t, f))
	require.NoError(t, f.Close())
}

// withoutSpaceToSetAside has a disk that still takes what is written to it, but no
// reservation of more.
func withoutSpaceToSetAside(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	f, err := bolt.Open(path, bolt.Config{})
	if err != nil {
		return err
	}
	if err := forbid(syscall.ENOSPC, syscall.SYS_FALLOCATE, syscall.SYS_FALLOCATE); err != nil {
		return err
	}
	if err := errors.Join(f.Commit(set("a", "1")), f.Commit(set("large", string(make([]byte, 1_000_000))))); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > 1_200_000 {
		return fmt.Errorf("the file has more than it needs: %d, %w", info.Size(), err)
	}
	// The disk is full: the error says so, and what was begun is given back.
	err = limited(syscall.RLIMIT_FSIZE, 2_000_000, func() error {
		return f.Commit(set("huge", string(make([]byte, 5_000_000))))
	})
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("huge: %w", err)
	}
	if after, err := os.Stat(path); err != nil || after.Size() != info.Size() {
		return fmt.Errorf("the file has %d bytes, had %d, %w", after.Size(), info.Size(), err)
	}
	return errors.Join(f.Commit(set("a", "2")), f.Commit(set("a", "1")), f.Close())
}

func TestAFullDiskLeavesADamagedFileAsItIs(t *testing.T) {
	o := newOriginal(t, 600)
	path := filepath.Join(t.TempDir(), "store")
	damaged := o.content[:len(o.content)-4096]
	require.NoError(t, os.WriteFile(path, damaged, 0o600))
	runChild(t, "full disk for what is salvaged", path)
	require.Equal(t, []string{"store"}, names(t, filepath.Dir(path)))
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(damaged, after))
}

func withFullDiskForWhatIsSalvaged(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	return limited(syscall.RLIMIT_FSIZE, 100_000, func() error {
		_, err := bolt.Open(path, bolt.Config{Salvage: func(string, error) { panic("salvaged") }})
		if err == nil || !strings.Contains(err.Error(), "salvage it") || !strings.Contains(err.Error(), "file too large") {
			return fmt.Errorf("open: %w", err)
		}
		return nil
	})
}
