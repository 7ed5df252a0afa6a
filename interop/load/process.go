package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// spareFiles are those that no client needs.
const spareFiles = 500

// raiseFileLimit makes room for n connections here and in the servers, which
// inherit the limit because it is set explicitly. It returns how many there is
// room for: to exceed the hard limit takes a privilege that even root may lack.
func raiseFileLimit(n int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	want := syscall.Rlimit{Cur: max(limit.Max, uint64(n+spareFiles))}
	want.Max = want.Cur
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want) == nil {
		return n, nil
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	return min(n, int(limit.Cur)-spareFiles), nil
}

// resident returns the memory of the server that is in RAM, in bytes, once it has
// stopped to change.
func (s *server) resident() (float64, error) {
	last := -1.0
	for range 50 {
		time.Sleep(200 * time.Millisecond)
		now, err := residentOf(s.cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		if now == last {
			break
		}
		last = now
	}
	return last, nil
}

// residentOf returns the memory of a process that is in RAM, in bytes.
func residentOf(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kB * 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// clockTick is the unit of times in /proc/PID/stat; it is the same on all
// architectures that Go knows.
const clockTick = 10 * time.Millisecond

// cpu returns the processor time that the server has used.
func (s *server) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold spaces.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat has %d fields", len(fields))
	}
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * clockTick, err
}
