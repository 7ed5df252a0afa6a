package bench

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

// Spread says which subscriber gets which message.
type Spread string

const (
	// SpreadAll gives every message to every subscriber.
	SpreadAll Spread = "all"
	// SpreadDivided divides the topics among the subscribers.
	SpreadDivided Spread = "divided"
	// SpreadShared makes each group of subscribers share the messages.
	SpreadShared Spread = "shared"
)

// Settings say what the load is.
type Settings struct {
	Publishers  int
	Subscribers int // zero: only publishing is measured
	Topics      int // zero: one for each publisher
	TopicPrefix string

	QoS          mqtt.QoS
	SubscribeQoS mqtt.QoS
	Retain       bool
	Size         int // of a payload, in bytes

	Rate     float64       // messages a second of all publishers together; zero: closed loop
	Window   int           // of each publisher in a closed loop, above QoS 0
	Duration time.Duration // that is measured; zero: until Count
	Count    int           // measured messages of all publishers; zero: until Duration
	Warmup   time.Duration // before that
	Drain    time.Duration // the longest wait for what is under way at the end

	Spread Spread
	Groups int // of SpreadShared

	Ramp float64 // connections a second; zero: as fast as the server accepts them
}

// validate refuses settings that cannot be, and names the flag.
func (s *Settings) validate() error {
	if s.Topics == 0 {
		s.Topics = s.Publishers
	}
	switch {
	case s.Publishers < 1:
		return errors.New("--publishers must be at least 1")
	case s.Subscribers < 0:
		return errors.New("--subscribers must not be negative")
	case s.Topics < 0:
		return errors.New("--topics must not be negative")
	case s.Publishers > math.MaxInt32 || s.Subscribers > math.MaxInt32 || s.Topics > math.MaxInt32:
		return errors.New("--publishers, --subscribers and --topics must be below 2^31")
	case s.Size < stampSize:
		return fmt.Errorf("--size must be at least %d bytes, which hold the sequence number and the time", stampSize)
	case s.Rate < 0 || math.IsNaN(s.Rate) || math.IsInf(s.Rate, 0):
		return errors.New("--rate must be a number that is not negative")
	case s.Duration < 0 || s.Warmup < 0 || s.Drain < 0 || s.Ramp < 0:
		return errors.New("--duration, --warmup, --drain and --ramp must not be negative")
	case s.Count < 0:
		return errors.New("--count must not be negative")
	case s.Duration == 0 && s.Count == 0:
		return errors.New("--duration or --count must be above zero")
	case s.Rate == 0 && s.QoS > mqtt.AtMostOnce && s.Window < 1:
		return errors.New("--window must be at least 1")
	case s.Spread != SpreadAll && s.Spread != SpreadDivided && s.Spread != SpreadShared:
		return errors.New(`--spread must be "all", "divided" or "shared"`)
	case s.Spread == SpreadShared && (s.Groups < 1 || s.Groups > s.Subscribers):
		return errors.New("--groups must be between 1 and the number of subscribers")
	}
	return nil
}

// end is when no further message is due. Zero means never.
func (s *Settings) end() time.Duration {
	if s.Duration == 0 {
		return 0
	}
	return s.Warmup + s.Duration
}

// streams is how many sequences of messages there are. Stream k belongs to publisher k
// mod Publishers and topic k mod Topics, so each publisher has one for each of its topics.
func (s *Settings) streams() int { return max(s.Publishers, s.Topics) }

// groups is how many receivers there are that should get a message each.
func (s *Settings) groups() int {
	if s.Spread == SpreadShared {
		return s.Groups
	}
	return s.Subscribers
}

// group returns the receiver to which a subscriber belongs.
func (s *Settings) group(subscriber int) int { return subscriber % max(1, s.groups()) }

// wants reports whether a receiver should get the messages of a topic.
func (s *Settings) wants(group, topic int) bool {
	if s.Spread != SpreadDivided {
		return true
	}
	if s.Subscribers > s.Topics {
		return group%s.Topics == topic
	}
	return topic%s.Subscribers == group
}

// copies is how many receivers should get each message of a topic.
func (s *Settings) copies(topic int) int {
	switch {
	case s.Subscribers == 0:
		return 0
	case s.Spread != SpreadDivided:
		return s.groups()
	case s.Subscribers <= s.Topics:
		return 1
	}
	n := s.Subscribers / s.Topics
	if topic < s.Subscribers%s.Topics {
		n++
	}
	return n
}

// topic names a topic of this run.
func (s *Settings) topic(run string, n int) string {
	return fmt.Sprintf("%s/%s/%d", s.TopicPrefix, run, n)
}

// filters are what a subscriber subscribes to.
func (s *Settings) filters(run string, subscriber int) []mqtt.Filter {
	all := s.topic(run, 0)
	if s.Topics > 1 {
		all = fmt.Sprintf("%s/%s/+", s.TopicPrefix, run)
	}
	switch s.Spread {
	case SpreadShared:
		// The name of the group is of this run, so that no other run takes a share.
		return []mqtt.Filter{{Filter: fmt.Sprintf("$share/%s-%d/%s", run, s.group(subscriber), all), QoS: s.SubscribeQoS}}
	case SpreadDivided:
		var list []mqtt.Filter
		for t := range s.Topics {
			if s.wants(subscriber, t) {
				list = append(list, mqtt.Filter{Filter: s.topic(run, t), QoS: s.SubscribeQoS})
			}
		}
		return list
	}
	return []mqtt.Filter{{Filter: all, QoS: s.SubscribeQoS}}
}

// possible refuses a load whose messages the server has excluded: each of them would fail.
func (l *load) possible(info *mqtt.ServerInfo) error {
	longest := l.topic(l.run, l.Topics-1)
	m := wire.Publish{Topic: longest, QoS: l.QoS, Retain: l.Retain, Payload: make([]byte, l.Size), PacketID: uint16(l.QoS)}
	return info.Limits.CheckPublish(&m, info.Version)
}
