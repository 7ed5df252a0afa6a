package bench

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/match"
)

// What receivers should get, how many of them there are for a topic, and what they
// subscribe to are three calculations that have to agree.
func TestFiltersBringWhatIsExpected(t *testing.T) {
	for _, spread := range []Spread{SpreadAll, SpreadDivided, SpreadShared} {
		for _, shape := range [][3]int{{1, 1, 0}, {5, 1, 0}, {1, 5, 0}, {3, 7, 2}, {2, 3, 7}, {7, 3, 4}, {2, 8, 8}} {
			t.Run(fmt.Sprintf("%s %v", spread, shape), func(t *testing.T) {
				s := Settings{Publishers: shape[0], Subscribers: shape[1], Topics: shape[2], TopicPrefix: "a/b", Size: 64, Duration: 1, Window: 1, Spread: spread}
				if spread == SpreadShared {
					s.Groups = (s.Subscribers + 1) / 2
				}
				require.NoError(t, s.validate())
				for topic := range s.Topics {
					reached := map[int]bool{} // receivers
					for i := range s.Subscribers {
						for _, f := range s.filters("run", i) {
							filter := f.Filter
							if spread == SpreadShared {
								filter = filter[len(fmt.Sprintf("$share/run-%d/", s.group(i))):]
							}
							if match.Match(filter, s.topic("run", topic)) {
								require.True(t, s.wants(s.group(i), topic))
								reached[s.group(i)] = true
							}
						}
					}
					require.Len(t, reached, s.copies(topic), "topic %d", topic)
					for g := range s.groups() {
						require.Equal(t, s.wants(g, topic), reached[g], "receiver %d of topic %d", g, topic)
					}
				}
			})
		}
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	good := Settings{Publishers: 1, Subscribers: 1, Size: 64, Duration: 1, Window: 1, Spread: SpreadAll, Groups: 1}
	require.NoError(t, good.validate())
	for flag, spoil := range map[string]func(*Settings){
		"--publishers":  func(s *Settings) { s.Publishers = 0 },
		"--subscribers": func(s *Settings) { s.Subscribers = -1 },
		"--topics":      func(s *Settings) { s.Topics = -1 },
		"--size":        func(s *Settings) { s.Size = stampSize - 1 },
		"--rate":        func(s *Settings) { s.Rate = math.NaN() },
		"--ramp":        func(s *Settings) { s.Ramp = -1 },
		"--count":       func(s *Settings) { s.Count = -1 },
		"--duration":    func(s *Settings) { s.Duration = 0 },
		"--window":      func(s *Settings) { s.Window, s.QoS = 0, 1 },
		"--spread":      func(s *Settings) { s.Spread = "some" },
		"--groups":      func(s *Settings) { s.Spread, s.Groups = SpreadShared, 2 },
	} {
		bad := good
		spoil(&bad)
		require.ErrorContains(t, bad.validate(), flag)
	}
}

func TestSchedulesOfAllPublishersMakeTheRate(t *testing.T) {
	for _, rate := range []float64{0.01, 1, 999, 12345, 3e6} {
		for _, publishers := range []int{1, 3, 100} {
			total, span := uint64(0), time.Duration(1000/rate*float64(time.Second))
			for p := range publishers {
				s := newSchedule(rate, p, publishers)
				n := s.before(span)
				total += n
				// before counts what at places there.
				require.GreaterOrEqual(t, s.at(int(n)), span)
				if n > 0 {
					require.Less(t, s.at(int(n)-1), span)
				}
			}
			require.InDelta(t, 1000, float64(total), 300, "rate %g of %d", rate, publishers)
		}
	}
	require.Positive(t, newSchedule(1e-300, 0, 1).at(1000), "no overflow")
}

func TestStampComesBack(t *testing.T) {
	b := make([]byte, stampSize)
	for _, want := range []stamp{{}, {1, 2, 3, 4, true}, {math.MaxUint32, math.MaxUint32, math.MaxUint64, time.Hour * 24 * 365, false}} {
		want.put(b)
		got, ok := readStamp(b)
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	_, ok := readStamp(b[1:])
	require.False(t, ok)
}
