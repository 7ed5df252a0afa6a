package bolt_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	children["another user"] = asAnotherUser
	children["no sync"] = withoutSync
	children["little address space"] = withLittleAddressSpace
}

func TestOpenSaysWhatItMayNotWrite(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, open(t, filepath.Join(dir, "store")).Close())
	require.NoError(t, os.Chmod(filepath.Join(dir, "store"), 0o444))
	require.NoError(t, os.Chmod(dir, 0o555))
	runChild(t, "another user", filepath.Join(dir, "store"))
	require.NoError(t, os.Chmod(dir, 0o755))
	require.Equal(t, []string{"store"}, names(t, dir))
}

// asAnotherUser opens a store, and makes one, where that is not allowed.
func asAnotherUser(path string) error {
	if os.Getuid() == 0 { // which may write everywhere
		if err := syscall.Setuid(65534); err != nil {
			return err
		}
	}
	for _, path := range []string{path, filepath.Join(filepath.Dir(path), "new")} {
		_, err := bolt.Open(path, bolt.Config{})
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), path) {
			return fmt.Errorf("open %s: %w", path, err)
		}
		fmt.Println(err)
	}
	return nil
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
	// These calls wait for the disk.
	if err := forbid(syscall.EIO, syscall.SYS_FSYNC, syscall.SYS_FDATASYNC); err != nil {
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

// forbid makes two system calls fail in this process from now on, by a seccomp filter:
// a program of five instructions that looks at the number of the call.
func forbid(failure syscall.Errno, a, b uint32) error {
	const (
		load, jumpIfEqual, answer = 0x20, 0x15, 0x06
		allow, fail               = 0x7fff0000, 0x00050000
		setNoNewPrivileges        = 38
		setModeFilter, allThreads = 1, 1
	)
	program := []syscall.SockFilter{
		{Code: load, K: 0},
		{Code: jumpIfEqual, Jt: 2, K: a},
		{Code: jumpIfEqual, Jt: 1, K: b},
		{Code: answer, K: allow},
		{Code: answer, K: fail | uint32(failure)},
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
