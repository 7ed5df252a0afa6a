package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// results are what docs/growth.json keeps.
type results struct {
	Machine string
	Time    time.Time
	Figures []figure
}

func (r *results) load(file string) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, r)
}

func (r *results) save(file string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

func (r *results) describe() {
	info, _ := os.ReadFile("/proc/cpuinfo") // elsewhere the model stays empty
	_, model, _ := strings.Cut(string(info), "model name")
	model, _, _ = strings.Cut(strings.TrimLeft(model, "\t :"), "\n")
	r.Machine = fmt.Sprintf("%s, %d processors, %s", model, runtime.NumCPU(), runtime.Version())
	r.Time = time.Now().UTC().Truncate(time.Second)
}

// put takes figures of one kind and size, in place of earlier ones.
func (r *results) put(figures []figure) {
	r.describe()
	r.Figures = slices.DeleteFunc(r.Figures, func(f figure) bool { return f.Kind == figures[0].Kind && f.N == figures[0].N })
	r.Figures = append(r.Figures, figures...)
	slices.SortStableFunc(r.Figures, func(a, b figure) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.N, b.N))
	})
}

// row is one figure at all sizes.
type row struct {
	what    string
	bytes   bool
	figures []figure // in the order of N
}

// rows returns the figures of a kind in the order in which they were measured.
func (r *results) rows(name string) (rows []row) {
	for _, f := range r.Figures {
		if f.Kind != name {
			continue
		}
		i := slices.IndexFunc(rows, func(w row) bool { return w.what == f.What && w.bytes == f.Bytes })
		if i < 0 {
			i = len(rows)
			rows = append(rows, row{what: f.What, bytes: f.Bytes})
		}
		rows[i].figures = append(rows[i].figures, f)
	}
	return rows
}

// tolerated is how the cost of one more may grow, as a power of the number: with 100 times
// as many it may be five times as much. Caches hold less of them, the garbage collector has
// more to look at, and a search of a tree is longer. 1 would be linear.
const tolerated = 0.35

// least is what is too little to tell a growth, in nanoseconds and bytes.
const least = 200

// grows says that the cost of one more grows with the number. What the process has once is
// divided by few in the smallest size, so that it compares the largest two.
func (w *row) grows() bool {
	n := len(w.figures)
	if n < 2 {
		return false
	}
	return w.ratio() > math.Pow(float64(w.figures[n-1].N)/float64(w.figures[n-2].N), tolerated)
}

// ratio returns by how much the largest size is dearer than the one before it.
func (w *row) ratio() float64 {
	n := len(w.figures)
	return w.figures[n-1].Value / max(w.figures[n-2].Value, least)
}

func (f *figure) text() string {
	if f.Bytes {
		return size(f.Value)
	}
	return duration(f.Value)
}

func size(v float64) string {
	switch {
	case v < 1:
		return "0"
	case v < 1000:
		return fmt.Sprintf("%.0f B", v)
	case v < 1000<<10:
		return fmt.Sprintf("%.3g KiB", v/(1<<10))
	}
	return fmt.Sprintf("%.3g MiB", v/(1<<20))
}

func duration(ns float64) string {
	switch {
	case ns < 1000:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.3g µs", ns/1e3)
	case ns < 1e9:
		return fmt.Sprintf("%.3g ms", ns/1e6)
	}
	return fmt.Sprintf("%.3g s", ns/1e9)
}
