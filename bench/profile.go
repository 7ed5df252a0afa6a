package main

import (
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profiling writes profiles of a client process to dir unless that is empty:
// where the CPU was from start to stop, and what was allocated in all.
type profiling struct {
	dir, name string
	cpu       *os.File
}

func (p *profiling) start() error {
	if p.dir == "" {
		return nil
	}
	err := os.MkdirAll(p.dir, 0o755)
	if err != nil {
		return err
	}
	if p.cpu, err = os.Create(filepath.Join(p.dir, p.name+".cpu.prof")); err != nil {
		return err
	}
	return pprof.StartCPUProfile(p.cpu)
}

func (p *profiling) stop() error {
	if p.cpu == nil {
		return nil
	}
	pprof.StopCPUProfile()
	allocs, err := os.Create(filepath.Join(p.dir, p.name+".allocs.prof"))
	if err != nil {
		return err
	}
	defer allocs.Close()
	return pprof.Lookup("allocs").WriteTo(allocs, 0)
}
