package prommqtt

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed65a45251/mqtt"
)

// family is a metric of what has the figures S, of a client or of a broker.
type family[S any] struct {
	desc    *prometheus.Desc
	collect func(s *S, owner string, ch chan<- prometheus.Metric)
}

// kind makes the families of clients, or those of brokers.
type kind[S any] struct{ prefix, label string }

func (k kind[S]) desc(name, help string, labels []string) *prometheus.Desc {
	return prometheus.NewDesc(k.prefix+name, help, append([]string{k.label}, labels...), nil)
}

// series is a family with a value, or several with labels of their own.
func (k kind[S]) series(t prometheus.ValueType, name, help string, labels []string, each func(s *S, add func(value float64, labels ...string))) family[S] {
	d := k.desc(name, help, labels)
	return family[S]{d, func(s *S, owner string, ch chan<- prometheus.Metric) {
		each(s, func(value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, t, value, append([]string{owner}, labels...)...)
		})
	}}
}

// counter is a family of a number that never decreases.
func (k kind[S]) counter(name, help string, value func(*S) uint64) family[S] {
	return k.series(prometheus.CounterValue, name, help, nil, func(s *S, add func(float64, ...string)) { add(float64(value(s))) })
}

// gauge is a family of a number of things that are there now.
func (k kind[S]) gauge(name, help string, value func(*S) int) family[S] {
	return k.series(prometheus.GaugeValue, name, help, nil, func(s *S, add func(float64, ...string)) { add(float64(value(s))) })
}

// causes is a counter that has a series for each cause.
func (k kind[S]) causes(name, help string, each func(s *S) []cause) family[S] {
	return k.series(prometheus.CounterValue, name, help, []string{"cause"}, func(s *S, add func(float64, ...string)) {
		for _, c := range each(s) {
			add(float64(c.n), c.name)
		}
	})
}

type cause struct {
	name string
	n    uint64
}

// reasons is causes where the server may have named a reason, which has a series of its own
// under the label reason.
func (k kind[S]) reasons(name, help, said string, each func(s *S) ([]cause, map[mqtt.ReasonCode]uint64)) family[S] {
	return k.series(prometheus.CounterValue, name, help, []string{"cause", "reason"}, func(s *S, add func(float64, ...string)) {
		causes, codes := each(s)
		for _, c := range causes {
			add(float64(c.n), c.name, "")
		}
		for code, n := range codes {
			add(float64(n), said, code.String())
		}
	})
}

// histogram is a family of round trips. Where none was measured yet it has no series.
func (k kind[S]) histogram(name, help string, trips func(*S) mqtt.RoundTrips) family[S] {
	d := k.desc(name, help, nil)
	return family[S]{d, func(s *S, owner string, ch chan<- prometheus.Metric) {
		r := trips(s)
		if r.Count == 0 {
			return
		}
		buckets := make(map[float64]uint64, len(r.Buckets))
		for _, b := range r.Buckets {
			buckets[b.AtMost.Seconds()] = b.Count
		}
		ch <- prometheus.MustNewConstHistogram(d, r.Count, r.Sum.Seconds(), buckets, owner)
	}}
}

// unixSeconds is a time in the unit of Prometheus.
func unixSeconds(t time.Time) float64 { return float64(t.UnixNano()) / float64(time.Second) }
