// Command store compares engines for what the client keeps on the disk: each of a number
// of publishers stores a message of 300 bytes, waits for the disk, and removes it when it
// was acknowledged.
//
//	go run . -engine bolt -publishers 16 -messages 5000    # one line of figures
//	strace -f -c -e trace=fsync,fdatasync ./store ...      # the waits for the disk
//	go run . -engine bolt -records 1000000                 # time to open
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// engine is a store under test. Commit is called by one goroutine at a time, unless the
// engine groups by itself.
type engine interface {
	Commit(ops []op) error
	// Count reads all records.
	Count() (int, error)
	Close() error
}

// op sets a record, or removes it if there is no value.
type op struct {
	key   uint64
	value []byte
}

func (o op) name() []byte { return binary.BigEndian.AppendUint64(nil, o.key) }

var engines = map[string]func(dir string) (engine, error){
	"bolt":   openBolt,
	"wal":    openWAL,
	"pebble": openPebble,
	"sqlite": openSQLite,
}

func main() {
	name := flag.String("engine", "bolt", "bolt, wal, pebble or sqlite")
	publishers := flag.Int("publishers", 16, "how many store messages at a time")
	messages := flag.Int("messages", 5000, "how many messages in all")
	records := flag.Int("records", 0, "measure the time to open a store with so many")
	dir := flag.String("dir", "", "where to put the files; a temporary directory if empty")
	flag.Parse()
	if err := run(*name, *dir, *publishers, *messages, *records); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(name, dir string, publishers, messages, records int) error {
	open := engines[name]
	if open == nil {
		return fmt.Errorf("no engine %q", name)
	}
	dir, err := os.MkdirTemp(dir, "store")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if records > 0 {
		return measureOpen(name, dir, records)
	}
	e, err := open(dir)
	if err != nil {
		return err
	}
	written, start := writtenBytes(), time.Now()
	if err := publish(e, publishers, messages); err != nil {
		return err
	}
	took := time.Since(start)
	if err := e.Close(); err != nil {
		return err
	}
	fmt.Printf("%s: %d publishers: %.0f messages/s, %.0f bytes a message\n", name, publishers,
		float64(messages)/took.Seconds(), float64(writtenBytes()-written)/float64(messages))
	return nil
}

// publish has each publisher store and remove messages, one after the other.
func publish(e engine, publishers, messages int) error {
	var next atomic.Int64
	var running sync.WaitGroup
	failed := make(chan error, publishers)
	value := make([]byte, 300)
	for range publishers {
		running.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(messages) {
					return
				}
				err := e.Commit([]op{{key: uint64(n), value: value}})
				if err == nil {
					err = e.Commit([]op{{key: uint64(n)}})
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	running.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func measureOpen(name, dir string, records int) error {
	e, err := engines[name](dir)
	if err != nil {
		return err
	}
	value := make([]byte, 300)
	for n := 0; n < records; {
		var ops []op
		for ; len(ops) < 10_000 && n < records; n++ {
			ops = append(ops, op{key: uint64(n), value: value})
		}
		if err := e.Commit(ops); err != nil {
			return err
		}
	}
	if err := e.Close(); err != nil {
		return err
	}
	start := time.Now()
	if e, err = engines[name](dir); err != nil {
		return err
	}
	opened := time.Since(start)
	n, err := e.Count()
	if err != nil || n != records {
		return fmt.Errorf("%d records, %w", n, err)
	}
	fmt.Printf("%s: %d records: open %v, all read after %v\n", name, records, opened.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	return e.Close()
}

// writtenBytes returns how much this process has written, on Linux.
func writtenBytes() (n int64) {
	status, _ := os.ReadFile("/proc/self/io")
	_, rest, _ := strings.Cut(string(status), "\nwchar:")
	_, _ = fmt.Sscan(rest, &n)
	return n
}
