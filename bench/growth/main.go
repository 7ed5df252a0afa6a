// Command growth measures what one more costs when there are many already: messages,
// publishers, filters, sessions, connections, at a client and at a broker. Each kind and
// size is measured in a process of its own.
//
//	go run ./growth                        # all kinds and sizes, some minutes
//	go run ./growth -run 'client/filters'  # some kinds, printed
//	go run ./growth -max 10000             # no larger sizes
//	go run ./growth -update                # writes docs/growth.md and docs/growth.svg
//	go run ./growth -run queued -update    # measures some again; the others stay
//	go run ./growth -run - -update         # writes them again, without measuring
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strconv"
	"time"
)

type settings struct {
	run    string
	max    int
	only   int
	limit  time.Duration
	update bool
	docs   string
}

func main() {
	var s settings
	measure := flag.String("measure", "", "measure this kind in this process and print the figures as JSON")
	profile := flag.String("profile", "", "with -measure, write a profile of the processor to this file")
	peers := flag.String("peers", "", "be clients of the broker at this address")
	n := flag.Int("n", 100, "the size for -measure")
	flag.StringVar(&s.run, "run", "", "measure the kinds that match this regular expression")
	flag.IntVar(&s.max, "max", 1_000_000, "the largest size")
	flag.IntVar(&s.only, "only", 0, "measure this size alone; zero: all")
	flag.DurationVar(&s.limit, "limit", time.Minute, "how long one kind and size may take")
	flag.BoolVar(&s.update, "update", false, "keep the figures in growth.json, and write growth.md and growth.svg")
	flag.StringVar(&s.docs, "docs", "../docs", "the directory of growth.md and growth.svg")
	flag.Parse()
	var err error
	switch {
	case *peers != "":
		err = peersHere(*peers, *n)
	case *measure != "":
		err = profiled(*profile, func() error { return measureHere(*measure, *n) })
	default:
		err = s.measureAll()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

// profiled calls f and writes a profile of it, if there is a file for it.
func profiled(file string, f func() error) error {
	if file == "" {
		return f()
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	err = f()
	pprof.StopCPUProfile()
	return errors.Join(err, out.Close())
}

// measureHere is what a process for one kind and size does.
func measureHere(name string, n int) error {
	for _, k := range kinds {
		if k.name == name {
			figures, err := k.figures(n, enough)
			if err != nil {
				return err
			}
			return json.NewEncoder(os.Stdout).Encode(figures)
		}
	}
	return fmt.Errorf("no kind %q", name)
}

func (s *settings) measureAll() error {
	chosen, err := regexp.Compile(s.run)
	if err != nil {
		return err
	}
	file, page := filepath.Join("growth", "growth.json"), filepath.Join(s.docs, "growth.md")
	r := new(results)
	if s.update {
		if err := r.load(file); err != nil {
			return err
		}
	}
	for _, k := range kinds {
		if !chosen.MatchString(k.name) {
			continue
		}
		sizes := k.sizes()
		if s.only != 0 {
			sizes = []int{s.only}
		}
		for _, n := range sizes {
			if n > s.max {
				break
			}
			figures, err := s.measureApart(k.name, n)
			if err != nil {
				fmt.Printf("%s, %d: %v\n", k.name, n, err)
				break // a larger one takes longer
			}
			r.put(figures)
			for _, f := range figures {
				fmt.Printf("%-34s %-34s %9d %12s\n", f.Kind, f.What, f.N, f.text())
			}
		}
	}
	if !s.update {
		return nil
	}
	if err := r.save(file); err != nil {
		return err
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	if text, err = r.fill(text); err != nil {
		return err
	}
	if err := os.WriteFile(page, text, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.docs, "growth.svg"), r.plot(), 0o644)
}

// measureApart measures one kind and size in a process of its own, so that no heap of
// an earlier one is in the way.
func (s *settings) measureApart(name string, n int) (figures []figure, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-measure", name, "-n", strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("not done within %v", s.limit)
	}
	if err != nil {
		return nil, err
	}
	return figures, json.Unmarshal(out, &figures)
}
