package main

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/reconnect"
)

// storm is how clients came back after the broker was killed. Times are in
// milliseconds since then.
type storm struct {
	Policy   string
	Returned float64   // when the broker listened again
	Back     float64   // when the last client was connected
	Attempts []int     // in each 100 ms
	InStep   []float64 // when all clients would try at once if delays were not random
}

// storm kills srv, starts it again at the same address after the outage, and waits
// for all clients. It returns the server that runs.
func (r *carried) storm(ctx context.Context, s *carrySettings, srv *server, f *fleet, policy reconnect.Policy) (*server, error) {
	ctx, cancel := context.WithTimeout(ctx, patience+s.outage)
	defer cancel()
	f.attempts.begin(len(f.clients))
	start := f.attempts.start
	srv.stop()
	time.Sleep(time.Until(start.Add(s.outage)))
	next, err := startOurs(srv.addr)
	if err != nil {
		return srv, err
	}
	result := storm{Policy: "the default policy", Returned: milliseconds(time.Since(start))}
	if policy.Min > 0 {
		result.Policy = fmt.Sprintf("Reconnect.Min of %v", policy.Min)
	}
	if err := f.waitConnected(ctx); err != nil {
		return next, err
	}
	result.Back = milliseconds(time.Since(start))
	f.attempts.mu.Lock()
	result.Attempts = slices.Clone(f.attempts.bins)
	f.attempts.mu.Unlock()
	var at time.Duration
	for i := 0; milliseconds(at) < result.Returned; i++ {
		at += policy.Ceiling(i)
		result.InStep = append(result.InStep, milliseconds(at))
	}
	r.Storms = append(r.Storms, result)
	return next, nil
}

func (r *carried) print(w io.Writer) {
	fmt.Fprintf(w, "%d clients on %s\n", r.Clients, r.Machine)
	fmt.Fprintf(w, "of each client: heap %.1f KiB, stacks %.1f KiB, resident %.1f KiB, %.1f goroutines\n",
		r.Heap/1024, r.Stack/1024, r.Resident/1024, r.Goroutines)
	fmt.Fprintf(w, "connected in %s ms; a call of Connect: median %s ms, 99th of 100 %s ms\n",
		short(r.ConnectAll), short(r.ConnectMedian), short(r.ConnectP99))
	for i := range r.Storms {
		fmt.Fprintln(w, r.Storms[i].summary())
		fmt.Fprintln(w, "   attempts in each 100 ms:", r.Storms[i].Attempts)
	}
}

func (s *storm) summary() string {
	return fmt.Sprintf("%s: %d attempts, at most %d in 100 ms; the broker back after %.1f s, all clients after %.1f s",
		s.Policy, s.total(), slices.Max(s.Attempts), s.Returned/1000, s.Back/1000)
}

func (s *storm) total() (n int) {
	for _, attempts := range s.Attempts {
		n += attempts
	}
	return n
}

// shown is how many of the bins are drawn: those until 99 of 100 attempts. The few
// that come later would make the bars thin.
func (s *storm) shown() int {
	until, total := 0, s.total()
	for i, n := range s.Attempts {
		if until += n; until*100 >= total*99 {
			return i + 1
		}
	}
	return len(s.Attempts)
}

func machine() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, model, _ := strings.Cut(string(info), "model name")
	model, _, _ = strings.Cut(strings.TrimLeft(model, "\t :"), "\n")
	return fmt.Sprintf("%s, %d processors, %s", model, runtime.NumCPU(), runtime.Version())
}

// Measures of the drawing, in pixels.
const (
	drawLeft   = 60
	drawWidth  = 760
	drawTop    = 50
	drawHeight = 120 // of the bars of a storm
	drawStorm  = 205 // of all of a storm
)

// drawStyle is readable on a light and on a dark page; the background is the page's.
const drawStyle = `<style>
text{fill:#57606a} .title{fill:#24292f;font-weight:bold} .bar{fill:#2f81f7} .axis{stroke:#8c959f}
.return{stroke:#d4762c;stroke-dasharray:4 3} .step{fill:#d4762c}
@media (prefers-color-scheme:dark){text{fill:#9da7b3} .title{fill:#e6edf3}}
</style>
`

// draw draws the storms one below the other, on the same axis of time.
func (r *carried) draw() []byte {
	bins := 0
	for _, s := range r.Storms {
		bins = max(bins, s.shown())
	}
	var b bytes.Buffer
	width, height := drawLeft+drawWidth+30, drawTop+len(r.Storms)*drawStorm
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n",
		width, height, width, height)
	b.WriteString(drawStyle)
	label(&b, 4, 16, "start", `class="title" font-size="14"`, fmt.Sprintf("The broker of %d clients is killed: attempts to connect in each 100 ms", r.Clients))
	label(&b, 4, 32, "start", "", "one run · "+r.Machine+" · dashed: the broker listens again · ▼ without jitter, all would try at once (computed)")
	for i := range r.Storms {
		r.Storms[i].draw(&b, drawTop+i*drawStorm, bins)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// draw draws a storm below y, on an axis for so many bins.
func (s *storm) draw(b *bytes.Buffer, y, bins int) {
	label(b, 4, y+14, "start", `class="title" font-size="12"`, s.summary())
	most := slices.Max(s.Attempts)
	bar := float64(drawWidth) / float64(bins)
	x := func(ms float64) float64 { return drawLeft + ms/milliseconds(binWidth)*bar }
	bottom := y + 44 + drawHeight
	for i, n := range s.Attempts[:min(bins, len(s.Attempts))] {
		h := float64(n) / float64(most) * drawHeight
		fmt.Fprintf(b, `<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n",
			drawLeft+float64(i)*bar, float64(bottom)-h, bar*0.85, h)
	}
	fmt.Fprintf(b, `<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>`+"\n", drawLeft, drawLeft+drawWidth, bottom, bottom)
	label(b, drawLeft-6, bottom-drawHeight+8, "end", "", fmt.Sprint(most))
	label(b, drawLeft-6, bottom, "end", "", "0")
	for second := range bins/10 + 1 {
		label(b, int(x(float64(second)*1000)), bottom+14, "middle", "", fmt.Sprintf("%d s", second))
	}
	fmt.Fprintf(b, `<line class="return" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", x(s.Returned), x(s.Returned), y+24, bottom)
	for _, at := range s.InStep {
		if x(at) <= drawLeft+drawWidth {
			fmt.Fprintf(b, `<path class="step" d="M%.1f %d l-4 -8 h8 z"/>`+"\n", x(at), y+38)
		}
	}
}

func label(b *bytes.Buffer, x, y int, anchor, style, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, style, html.EscapeString(s))
}
