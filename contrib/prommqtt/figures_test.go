package prommqtt

import (
	"crypto/tls"
	"crypto/x509"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
)

// notShown are figures that have no series.
var notShown = map[string]string{
	"Stats.ReceiveStats.HeldUnclaimed.Bytes": "held_bytes has them, too",
	"Stats.ReceiveStats.HeldUnclaimed.Age":   "held_age_seconds has them, too",
	"Stats.ReceiveStats.Dropped":             "a sum of others",
	"Stats.PublishStats.QueueDropped":        "a sum of others",
	"Stats.ConnectionStats.Ping.Last":        "a histogram has the rest",
	"Stats.ConnectionStats.Ping.Min":         "",
	"Stats.ConnectionStats.Ping.Max":         "",
	"Stats.PublishStats.RoundTrips.Last":     "",
	"Stats.PublishStats.RoundTrips.Min":      "",
	"Stats.PublishStats.RoundTrips.Max":      "",
}

// fill gives every number below v a value of its own, and notes in numbers what it stands
// for, in seconds where it is a time.
func fill(v reflect.Value, path string, numbers map[float64]string) {
	next := int64(len(numbers) + 1)
	switch v.Kind() {
	case reflect.Struct:
		for field, value := range v.Fields() {
			fill(value, path+"."+field.Name, numbers)
		}
	case reflect.Slice: // of buckets
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		v.Index(0).FieldByName("AtMost").SetInt(int64(time.Hour))
		fill(v.Index(0).FieldByName("Count"), path+".Count", numbers)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[mqtt.ReasonCode]uint64{mqtt.ServerBusy: uint64(next)}))
		numbers[float64(next)] = path
	default:
		n := next
		if v.Type() == reflect.TypeFor[time.Duration]() {
			n *= int64(time.Second)
		}
		v.Set(reflect.ValueOf(n).Convert(v.Type()))
		numbers[float64(next)] = path
	}
}

// shown returns the values of all series of s.
func shown[S any](t *testing.T, families []family[S], s *S) map[float64]bool {
	ch := make(chan prometheus.Metric, 1000)
	for _, f := range families {
		f.collect(s, "name", ch)
	}
	close(ch)
	values := make(map[float64]bool)
	for m := range ch {
		var p dto.Metric
		require.NoError(t, m.Write(&p))
		if h := p.Histogram; h != nil {
			values[float64(h.GetSampleCount())], values[h.GetSampleSum()] = true, true
			for _, b := range h.Bucket {
				values[float64(b.GetCumulativeCount())] = true
			}
			continue
		}
		values[p.GetCounter().GetValue()+p.GetGauge().GetValue()] = true
	}
	return values
}

func TestEveryFigureHasASeries(t *testing.T) {
	var c clientFigures
	numbers := make(map[float64]string)
	fill(reflect.ValueOf(&c.Stats).Elem(), "Stats", numbers)
	values := shown(t, clientFamilies, &c)
	require.Greater(t, len(values), 50)
	for n, path := range numbers {
		_, exempt := notShown[path]
		require.NotEqual(t, exempt, values[n], path)
	}

	var b broker.Stats
	clear(numbers)
	fill(reflect.ValueOf(&b).Elem(), "Stats", numbers)
	values = shown(t, brokerFamilies, &b)
	for n, path := range numbers {
		require.True(t, values[n], path)
	}
}

func TestTheFirstCertificateToExpireCounts(t *testing.T) {
	var c clientFigures
	none := len(shown(t, clientFamilies, &c))
	c.Up = 1
	c.info.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{
		{NotAfter: time.Unix(2000, 0)}, {NotAfter: time.Unix(1500, 0)}, {NotAfter: time.Unix(3000, 0)},
	}}
	values := shown(t, clientFamilies, &c)
	require.True(t, values[1500])
	require.False(t, values[2000])
	require.Len(t, values, none+2, "with that of the connection")
}

func TestReasonsAreLabelsOfTheirOwn(t *testing.T) {
	var c clientFigures
	c.FailedAttempts.Refused = make(map[mqtt.ReasonCode]uint64)
	for code := range mqtt.ReasonCode(math.MaxUint8) {
		c.FailedAttempts.Refused[code] = 1
	}
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(fixed{&c}))
	_, err := reg.Gather()
	require.NoError(t, err, "two codes have the same text")
}

// fixed is a collector of one client.
type fixed struct{ *clientFigures }

func (f fixed) Describe(ch chan<- *prometheus.Desc) { NewCollector().Describe(ch) }

func (f fixed) Collect(ch chan<- prometheus.Metric) {
	for _, family := range clientFamilies {
		family.collect(f.clientFigures, "name", ch)
	}
}
