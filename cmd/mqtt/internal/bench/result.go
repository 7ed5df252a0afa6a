package bench

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Format names the form of Result. It changes when a program that reads the old form
// would misread the new one.
const Format = "mqtt-bench/1"

// Result is what a run has found. docs/bench.md describes each field.
type Result struct {
	Format      string      `json:"format"`
	Time        time.Time   `json:"time"` // when the load began
	Interrupted bool        `json:"interrupted"`
	Server      Server      `json:"server"`
	Settings    Setup       `json:"settings"`
	Environment Environment `json:"environment"`

	Rates    Rates             `json:"rates"`
	Messages Messages          `json:"messages"`
	Latency  Latencies         `json:"latency"`
	Load     Generator         `json:"generator"`
	Errors   map[string]uint64 `json:"errors,omitempty"`
	Notes    []string          `json:"notes,omitempty"`

	Intervals []Interval `json:"intervals"`
}

// Server is what was loaded.
type Server struct {
	URL      string `json:"url"` // without credentials
	Embedded bool   `json:"embedded"`
	Version  string `json:"mqtt_version"`
}

// Setup is Settings in the units of the file.
type Setup struct {
	Publishers   int     `json:"publishers"`
	Subscribers  int     `json:"subscribers"`
	Topics       int     `json:"topics"`
	QoS          int     `json:"qos"`
	SubscribeQoS int     `json:"subscribe_qos"`
	Retain       bool    `json:"retain"`
	Size         int     `json:"size_bytes"`
	Rate         float64 `json:"rate_per_second"` // zero: closed loop
	Window       int     `json:"window"`          // zero: no limit, or open loop
	Duration     float64 `json:"duration_seconds"`
	Count        int     `json:"count"`
	Warmup       float64 `json:"warmup_seconds"`
	Drain        float64 `json:"drain_seconds"`
	Spread       Spread  `json:"spread"`
	Groups       int     `json:"groups"`
	Ramp         float64 `json:"ramp_per_second"`
}

// Environment is where the load came from.
type Environment struct {
	System  string `json:"system"`
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Go      string `json:"go"`
	Library string `json:"library"` // version of github.com/seed65a45251/mqtt
}

// Rates are of the measured time, per second.
type Rates struct {
	Seconds      float64 `json:"seconds"`
	Offered      float64 `json:"offered"` // zero: closed loop
	Published    float64 `json:"published"`
	Received     float64 `json:"received"`      // all copies
	ReceivedData float64 `json:"received_data"` // of payloads, in bytes
}

// Messages are counted over the whole run, warm-up included.
type Messages struct {
	Published    uint64 `json:"published"`
	Acknowledged uint64 `json:"acknowledged"`
	Failed       uint64 `json:"failed"`
	Unanswered   uint64 `json:"unanswered"`
	Unsent       uint64 `json:"unsent"`
	Unmatched    uint64 `json:"unmatched"`

	Expected   uint64 `json:"expected"`
	Received   uint64 `json:"received"`
	Lost       uint64 `json:"lost"`
	Duplicates uint64 `json:"duplicates"`
	Disordered uint64 `json:"disordered"`
	Dropped    uint64 `json:"dropped_by_generator"`
	Foreign    uint64 `json:"foreign"`
}

// Latencies are of the measured messages, the connections of all.
type Latencies struct {
	EndToEnd     Times `json:"end_to_end"`
	Acknowledged Times `json:"acknowledgement"`
	Connect      Times `json:"connect"`
}

// Generator says how well the generator kept to its schedule.
type Generator struct {
	Behind     Times   `json:"behind_schedule"`
	Own        Times   `json:"own_lateness"`
	Blocked    float64 `json:"blocked"`      // part of the time that publishers spent in calls that publish, 0 to 1
	Processors float64 `json:"processors"`   // used on average by this process; 0: not known
	Machine    float64 `json:"machine_busy"` // part of the time of all processors of the machine, 0 to 1; 0: not known
	Lost       uint64  `json:"connections_lost"`
}

// Times is a distribution, in microseconds.
type Times struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean_us"`
	Min   float64 `json:"min_us"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p99_9_us"`
	Max   float64 `json:"max_us"`

	Curve []Point `json:"curve,omitempty"`
}

// Point says that a part of the times, 0 to 1, was not above a time.
type Point struct {
	Part float64 `json:"part"`
	Time float64 `json:"us"`
}

func timesOf(r *recorder, curve bool) Times {
	h := r.total
	if h.TotalCount() == 0 {
		return Times{}
	}
	at := func(percent float64) float64 { return microseconds(h.ValueAtPercentile(percent)) }
	t := Times{
		Count: uint64(h.TotalCount()),
		Mean:  h.Mean() / 1e3,
		Min:   microseconds(h.Min()),
		P50:   at(50), P90: at(90), P99: at(99), P999: at(99.9),
		Max: microseconds(h.Max()),
	}
	if curve {
		t.Curve = curveOf(h)
	}
	return t
}

// curveOf has eight points for each halving of what is above, so that each part of a
// logarithmic plot has as many.
func curveOf(h *hdrhistogram.Histogram) (points []Point) {
	const steps = 8
	n := float64(h.TotalCount())
	for k := 0; ; k++ {
		above := math.Exp2(-float64(k) / steps)
		if above*n < 1 {
			return append(points, Point{1, microseconds(h.Max())})
		}
		points = append(points, Point{1 - above, microseconds(h.ValueAtPercentile(100 * (1 - above)))})
	}
}

// result puts together what the run has found.
func (r *runner) result(embedded bool) *Result {
	l := r.load
	res := &Result{
		Format:      Format,
		Time:        l.start.Round(0),
		Server:      Server{URL: withoutSecrets(r.server), Embedded: embedded, Version: r.info.Version.String()},
		Settings:    l.setup(),
		Environment: environment(),
		Messages:    r.messages(),
		Latency: Latencies{
			EndToEnd:     timesOf(l.latency, true),
			Acknowledged: timesOf(l.acknowledged, true),
			Connect:      timesOf(r.connects, false),
		},
		Load:      Generator{Behind: timesOf(l.behind, false), Own: timesOf(l.generator, false), Lost: r.lost},
		Errors:    l.failures.all(),
		Intervals: r.intervals.all(),
	}
	res.Rates = r.rates()
	res.Load.Processors, res.Load.Machine = r.usage[1].since(r.usage[0])
	if l.Rate > 0 && res.Rates.Seconds > 0 {
		var blocked time.Duration
		for _, p := range r.publishers {
			blocked += p.blocking
		}
		res.Load.Blocked = min(1, blocked.Seconds()/res.Rates.Seconds/float64(l.Publishers))
	}
	res.Messages.Unsent = r.unsent()
	return res
}

func (s *Settings) setup() Setup {
	set := Setup{
		Publishers: s.Publishers, Subscribers: s.Subscribers, Topics: s.Topics,
		QoS: int(s.QoS), SubscribeQoS: int(s.SubscribeQoS), Retain: s.Retain, Size: s.Size,
		Rate: s.Rate, Duration: s.Duration.Seconds(), Count: s.Count,
		Warmup: s.Warmup.Seconds(), Drain: s.Drain.Seconds(),
		Spread: s.Spread, Ramp: s.Ramp,
	}
	if s.Rate == 0 && s.QoS > 0 {
		set.Window = s.Window
	}
	if s.Spread == SpreadShared {
		set.Groups = s.Groups
	}
	return set
}

func (r *runner) messages() (m Messages) {
	for _, p := range r.publishers {
		m.Published += p.published.Load()
		m.Acknowledged += p.answered.Load()
		m.Failed += p.failed.Load()
		m.Unanswered += p.unanswered.Load()
		m.Unmatched += p.unmatched.Load()
	}
	for _, s := range r.subscribers {
		m.Received += s.received.Load()
		m.Disordered += s.disordered.Load()
		m.Foreign += s.foreign.Load()
	}
	for _, v := range r.receivers {
		m.Duplicates += v.duplicates.Load()
		m.Lost += v.lost(r.load)
	}
	m.Expected = r.expected()
	m.Dropped = r.dropped
	return m
}

// rates counts each kind of message from the end of the warm-up to the last of its kind.
func (r *runner) rates() (rates Rates) {
	l := r.load
	var lastSent, lastReceived time.Duration
	var received uint64
	for _, p := range r.publishers {
		lastSent = max(lastSent, time.Duration(p.lastPublish.Load()))
	}
	for _, s := range r.subscribers {
		lastReceived = max(lastReceived, time.Duration(s.lastReceive.Load()))
		received += s.measured.Load()
	}
	rate := func(n uint64, last time.Duration) float64 {
		// A load that ends early by itself was no faster for that.
		seconds := (max(last, min(l.end(), r.stopped)) - l.Warmup).Seconds()
		if seconds <= 0 {
			return 0
		}
		return float64(n) / seconds
	}
	rates.Seconds = max(0, (max(lastSent, lastReceived, min(l.end(), r.stopped)) - l.Warmup).Seconds())
	rates.Offered = l.Rate
	rates.Published = rate(r.measured(), lastSent)
	rates.Received = rate(received, lastReceived)
	rates.ReceivedData = rates.Received * float64(l.Size)
	return rates
}

// unsent is how many messages of an open loop were due and never sent.
func (r *runner) unsent() (n uint64) {
	l := r.load
	for i, p := range r.publishers {
		if l.Rate == 0 {
			continue // nothing is due
		}
		n += p.withdrawn.Load()
		if l.end() == 0 || l.Count > 0 && p.count >= l.share(i) {
			continue
		}
		if due := newSchedule(l.Rate, i, l.Publishers).before(min(l.end(), r.stopped)); due > p.tried {
			n += due - p.tried
		}
	}
	return n
}
