package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// syncs counts how often a client waits for its disk, and how long.
type syncs struct {
	mu              sync.Mutex
	commits, fsyncs uint64
	took, slowest   time.Duration
}

// syncer is a client that counts. A nil result says that it has no files.
type syncer interface{ synced() *syncs }

// done notes a commit that began at start and has synced the disk so many times.
func (s *syncs) done(start time.Time, commits, fsyncs uint64) {
	took := time.Since(start)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits += commits
	s.fsyncs += fsyncs
	s.took += took
	s.slowest = max(s.slowest, took)
}

func (s *syncs) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits, s.fsyncs, s.took, s.slowest = 0, 0, 0, 0
}

func (s *syncs) report(to *sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to.Commits, to.Syncs = s.commits, s.fsyncs
	to.Synced, to.Slowest = s.took.Seconds(), float64(s.slowest)/float64(time.Millisecond)
}

// runStored is runServed with a directory for the client if it needs one.
func (r *runner) runStored(ctx context.Context, e *entry, s *scenario) (result sample, err error) {
	if !e.stores {
		return r.runServed(ctx, e, s)
	}
	if r.files, err = os.MkdirTemp(r.dir, "mqtt-bench-"); err != nil {
		return result, err
	}
	defer func() {
		result.Kept = sizeOf(r.files)
		err = errors.Join(err, os.RemoveAll(r.files))
		r.files = ""
	}()
	return r.runServed(ctx, e, s)
}

// sizeOf returns how many bytes the files in a directory have, as far as they can be read.
func sizeOf(dir string) (bytes int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil
	})
	return bytes
}

// storing reports whether a client of a run has files.
func storing(plans []plan) bool {
	return slices.ContainsFunc(plans, func(p plan) bool {
		return slices.ContainsFunc(p.entries, func(e entry) bool { return e.stores })
	})
}

// probeDisk says how fast the disk is by itself, so that a slow disk is not taken for a
// slow client.
func probeDisk(dir string) (string, error) {
	f, err := os.CreateTemp(dir, "mqtt-bench-")
	if err != nil {
		return "", fmt.Errorf("-dir: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	times := make([]time.Duration, 0, 200)
	for begin := time.Now(); len(times) < cap(times) && time.Since(begin) < 2*time.Second; {
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return "", fmt.Errorf("-dir: %w", err)
		}
		if err := f.Sync(); err != nil {
			return "", fmt.Errorf("-dir: %w", err)
		}
		times = append(times, time.Since(start))
	}
	l := latencyOf(times)
	mounts, _ := os.ReadFile("/proc/self/mounts")
	return fmt.Sprintf("disk: %s (%s), 4 KiB and an fsync take %.2f ms (p50), %.2f ms (p99)",
		dir, fileSystem(mounts, dir), l.P50/1e3, l.P99/1e3), nil
}

// fileSystem finds the type of a directory's file system in the text of
// /proc/self/mounts.
func fileSystem(mounts []byte, dir string) string {
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	best, kind := "", "unknown file system"
	for line := range bytes.Lines(mounts) {
		f := strings.Fields(string(line))
		if len(f) < 3 || len(f[1]) < len(best) {
			continue
		}
		if below := strings.TrimSuffix(f[1], "/") + "/"; strings.HasPrefix(dir+"/", below) {
			best, kind = f[1], f[2]
		}
	}
	return kind
}
