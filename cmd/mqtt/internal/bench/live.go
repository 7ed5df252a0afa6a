package bench

import (
	"fmt"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
)

// refresh is how often the live line is drawn.
const refresh = 250 * time.Millisecond

// show draws what goes on until the returned function is called. It draws nothing where
// there is no terminal.
func (r *runner) show(w *output.Stream) (stop func()) {
	if !w.Terminal {
		return func() {}
	}
	bars := mpb.New(mpb.WithOutput(w.Writer), mpb.WithWidth(28), mpb.WithRefreshRate(refresh))
	// The bar is the part of the time or of the messages that is over, in thousandths.
	bar := bars.AddBar(1000,
		mpb.BarRemoveOnComplete(),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + r.status() })))
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(refresh)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				bar.SetCurrent(int64(999 * r.part()))
			case <-done:
				bar.Abort(true)
				bars.Wait()
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// part is how much of the run is over, 0 to 1.
func (r *runner) part() float64 {
	s := &r.load.Settings
	if !r.begun.Load() {
		return 0
	}
	var part float64
	if end := s.end(); end > 0 {
		part = r.load.now().Seconds() / end.Seconds()
	}
	if s.Count > 0 {
		part = max(part, float64(r.measured())/float64(s.Count))
	}
	return min(part, 1)
}

// status is the live line behind the bar.
func (r *runner) status() string {
	s := &r.load.Settings
	switch {
	case !r.begun.Load():
		return fmt.Sprintf("connecting: %d of %d", r.connected.Load(), s.Publishers+s.Subscribers)
	case r.draining.Load():
		if n := r.missing(); n > 0 {
			return fmt.Sprintf("waiting for %d messages", n)
		}
		return "ending"
	case r.load.now() < s.Warmup:
		return "warming up"
	}
	last := r.intervals.last()
	if last.Seconds == 0 {
		return "measuring"
	}
	line := fmt.Sprintf("%s/s sent", short(float64(last.Sent)/last.Seconds))
	if s.Subscribers > 0 {
		line += fmt.Sprintf(", %s/s received, p50 %s, p99 %s", short(float64(last.Received)/last.Seconds), duration(last.P50), duration(last.P99))
	}
	return line
}

// missing is how many copies have not arrived.
func (r *runner) missing() uint64 {
	var accepted uint64
	for _, p := range r.publishers {
		accepted += p.published.Load()
	}
	if s := &r.load.Settings; s.Spread != SpreadDivided {
		accepted *= uint64(s.groups())
	}
	if got := r.distinct(); got < accepted {
		return accepted - got
	}
	return 0
}
