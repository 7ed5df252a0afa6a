package broker

import (
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// sysTopics publishes figures about the broker on topics below $SYS. Without a
// subscriber it does nothing. hub.mu guards it.
type sysTopics struct {
	interval time.Duration
	life     *life
	figures  func(now time.Time) []figure // called with hub.mu held
	publish  func()                       // when the timer fires

	subscriptions int // number of subscriptions that may match
	timer         *time.Timer
	due           time.Time         // when the timer fires
	told          map[string]string // the last value told, by topic
}

const (
	statusRealm = "$SYS/"
	statusRoot  = statusRealm + "broker/"
)

// isStatus reports whether a filter may match status topics. A wildcard never matches
// their first level. [MQTT-4.7.2-1]
func isStatus(filter string) bool { return strings.HasPrefix(filter, statusRealm) }

// figure is one status topic.
type figure struct{ topic, value string }

// watchLocked counts a subscription.
func (s *sysTopics) watchLocked() {
	if s.interval < 0 {
		return
	}
	s.subscriptions++
	if s.timer == nil && !s.life.closed {
		s.told = make(map[string]string)
		s.startLocked(time.Now())
	}
}

func (s *sysTopics) startLocked(now time.Time) {
	s.due = now.Add(s.interval)
	s.timer = s.life.afterLocked(s.interval, s.publish)
}

// unwatchLocked undoes watchLocked.
func (s *sysTopics) unwatchLocked() {
	if s.interval < 0 {
		return
	}
	if s.subscriptions--; s.subscriptions == 0 {
		s.stopLocked()
	}
}

func (s *sysTopics) stopLocked() {
	s.life.stopTimer(s.timer)
	s.timer = nil
}

// messagesLocked returns the retained messages for a new subscriber.
func (s *sysTopics) messagesLocked(filter string, now time.Time) []*message {
	if !isStatus(filter) || s.interval < 0 {
		return nil
	}
	var found []*message
	for _, f := range s.figures(now) {
		if match.MatchPlain(filter, f.topic) {
			found = append(found, f.message(now))
		}
	}
	return found
}

func (f figure) message(now time.Time) *message {
	return newMessage(&wire.Publish{Topic: f.topic, Payload: []byte(f.value)}, "", now)
}
