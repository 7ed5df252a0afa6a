package bolt_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

func init() {
	children["full disk"] = withFullDisk
	children["no sync"] = withoutSync
	children["little address space"] = withLittleAddressSpace
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

// limited calls f while the process has a lower limit of a resource.
func limited(resource int, limit uint64, f func() error) error {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(resource, &old); err != nil {
		return err
	}
	if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: limit, Max: old.Max}); err != nil {
		return err
	}
	return errors.Join(f(), syscall.Setrlimit(resource, &old))
}

// It shows that a Commit waits for the disk: without, it succeeds only when it was
// told not to wait.
func TestCommitFailsWhenTheDiskDoesNotSync(t *testing.T) {
	runChild(t, "no sync", filepath.Join(t.TempDir(), "store"))
}

func withoutSync(path string) error {
	synced, err := bolt.Open(path, bolt.Config{})
	if err != nil {
		return err
	}
	unsynced, err := bolt.Open(path+"2", bolt.Config{NoSync: true})
	if err != nil {
		return err
	}
	if err := errors.Join(synced.Commit(set("a", "1")), unsynced.Commit(set("a", "1"))); err != nil {
		return err
	}
	if err := forbidSync(); err != nil {
		return err
	}
	for range 3 {
		if err := synced.Commit(set("a", "2")); !errors.Is(err, syscall.EIO) {
			return fmt.Errorf("commit: %w", err)
		}
	}
	for r, err := range synced.Scan(nil) {
		if err != nil || string(r.Value) != "1" {
			return fmt.Errorf("a Commit that failed is visible: %q, %w", r.Value, err)
		}
	}
	if err := unsynced.Commit(set("a", "2")); err != nil {
		return err
	}
	// The end makes up for what NoSync has saved.
	if err := unsynced.Close(); !errors.Is(err, syscall.EIO) {
		return fmt.Errorf("close: %w", err)
	}
	if _, err := bolt.Open(path+"3", bolt.Config{NoSync: true}); !errors.Is(err, syscall.EIO) {
		return fmt.Errorf("create: %w", err)
	}
	return synced.Close()
}

// forbidSync makes the system calls that wait for the disk fail in this process from
// now on, by a seccomp filter: a program of five instructions that looks at the
// number of the call.
func forbidSync() error {
	const (
		load, jumpIfEqual, answer = 0x20, 0x15, 0x06
		allow, fail               = 0x7fff0000, 0x00050000 | uint32(syscall.EIO)
		setNoNewPrivileges        = 38
		setModeFilter, allThreads = 1, 1
	)
	program := []syscall.SockFilter{
		{Code: load, K: 0},
		{Code: jumpIfEqual, Jt: 2, K: syscall.SYS_FSYNC},
		{Code: jumpIfEqual, Jt: 1, K: syscall.SYS_FDATASYNC},
		{Code: answer, K: allow},
		{Code: answer, K: fail},
	}
	number, known := map[string]uintptr{"amd64": 317, "386": 354, "arm64": 277, "arm": 383, "riscv64": 277, "loong64": 277, "ppc64le": 358, "s390x": 348}[runtime.GOARCH]
	if !known {
		return fmt.Errorf("no number of seccomp for %s", runtime.GOARCH)
	}
	runtime.LockOSThread()
	if _, _, err := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivileges, 1, 0, 0, 0, 0); err != 0 {
		return err
	}
	filter := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if _, _, err := syscall.RawSyscall(number, setModeFilter, allThreads, uintptr(unsafe.Pointer(&filter))); err != 0 {
		return err
	}
	return nil
}

func TestAProcessWithLittleAddressSpaceCanOpenAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	runChild(t, "little address space", path)
	f := open(t, path)
	require.Equal(t, []string{"large=10000000"}, lengths(t, f))
	require.NoError(t, f.Close())
}

// withLittleAddressSpace has the file mapped by pieces, anew when it grows.
func withLittleAddressSpace(path string) error {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	var pages uint64
	if _, err := fmt.Sscan(string(status), &pages); err != nil {
		return err
	}
	limit := pages*uint64(os.Getpagesize()) + 4<<30
	return limited(syscall.RLIMIT_AS, limit, func() error {
		f, err := bolt.Open(path, bolt.Config{})
		if err != nil {
			return err
		}
		return errors.Join(f.Commit(set("large", string(make([]byte, 10_000_000)))), f.Close())
	})
}

func TestAValueThatIsTooLongIsRefused(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "store"))
	// It is only counted, never read.
	long, err := syscall.Mmap(-1, 0, bolt.MaxValue+1, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	require.NoError(t, err)
	ops := []store.Op{{Key: []byte("a"), Value: long}}
	require.ErrorIs(t, f.Commit(ops), bolt.ErrValue)
	ops[0].Delete = true
	require.NoError(t, f.Commit(ops))
	require.NoError(t, f.Close())
	require.NoError(t, syscall.Munmap(long))
}

// What must be in the beginning of each file, for those who look for it there.
func TestAFileIsOneOfBolt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	require.NoError(t, open(t, path).Close())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, uint32(0xED0CDAED), binary.NativeEndian.Uint32(content[16:]))
	require.True(t, slices.Contains([]int{4096, 16384, 65536}, int(binary.NativeEndian.Uint32(content[24:]))))
}
