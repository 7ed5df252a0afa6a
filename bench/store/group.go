package main

import (
	"runtime"
	"sync"
)

// group gives an engine what store/bolt and pebble have of their own: those that come
// during a Commit share the next one.
type group struct {
	engine
	writing sync.Mutex

	mu      sync.Mutex
	ops     []op
	waiting *sync.WaitGroup
	err     *error
}

func (g *group) Commit(ops []op) error {
	g.mu.Lock()
	first := g.waiting == nil
	if first {
		g.waiting, g.err = new(sync.WaitGroup), new(error)
		g.waiting.Add(1)
	}
	g.ops = append(g.ops, ops...)
	waiting, err := g.waiting, g.err
	g.mu.Unlock()
	if !first {
		waiting.Wait()
		return *err
	}
	g.writing.Lock()
	for range 4 {
		runtime.Gosched()
	}
	g.mu.Lock()
	ops, g.ops, g.waiting = g.ops, nil, nil
	g.mu.Unlock()
	*err = g.engine.Commit(ops)
	g.writing.Unlock()
	waiting.Done()
	return *err
}
