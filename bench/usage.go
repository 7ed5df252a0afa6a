package main

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// usage is what the process has consumed so far.
type usage struct {
	at             time.Time
	cpu            time.Duration
	mallocs, bytes uint64
	reads, writes  uint64
	written        int64 // bytes for the disk
	cancelled      int64 // of them, bytes that were deleted before they got there
}

func readUsage() usage {
	var r syscall.Rusage
	var m runtime.MemStats
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	runtime.ReadMemStats(&m)
	u := usage{
		at:      time.Now(),
		cpu:     time.Duration(r.Utime.Nano() + r.Stime.Nano()),
		mallocs: m.Mallocs,
		bytes:   m.TotalAlloc,
	}
	// Linux only; elsewhere the system calls are not counted.
	io, _ := os.ReadFile("/proc/self/io")
	u.reads, u.writes = ioCalls(io)
	u.written, u.cancelled = ioNumber(io, "write_bytes"), ioNumber(io, "cancelled_write_bytes")
	return u
}

// ioCalls finds the numbers of read and write calls in the text of /proc/self/io.
func ioCalls(io []byte) (reads, writes uint64) {
	return uint64(ioNumber(io, "syscr")), uint64(ioNumber(io, "syscw"))
}

// ioNumber finds a number in the text of /proc/self/io; 0: it is not there.
func ioNumber(io []byte, name string) int64 {
	n, _ := strconv.ParseInt(fieldOf(io, name), 10, 64)
	return n
}

// since fills in what was consumed from u to now for messages.
func (s *sample) since(u usage, messages uint64) {
	now := readUsage()
	s.Messages = messages
	s.Seconds = now.at.Sub(u.at).Seconds()
	s.CPU = (now.cpu - u.cpu).Seconds()
	s.Mallocs = now.mallocs - u.mallocs
	s.Bytes = now.bytes - u.bytes
	s.Reads = now.reads - u.reads
	s.Writes = now.writes - u.writes
	s.Written = now.written - u.written
	s.Cancelled = now.cancelled - u.cancelled
}
