package broker

import (
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// status publishes figures about the broker on topics below $SYS. They cost
// nothing while nobody has subscribed to them. Broker.mu guards it.
type status struct {
	subscriptions int // that may match
	timer         *time.Timer
	due           time.Time         // when the timer fires
	told          map[string]string // by topic
}

const (
	statusRealm = "$SYS/"
	statusRoot  = statusRealm + "broker/"
)

// isStatus reports whether a filter may match status topics. Wildcards do not
// stand for the first level. [MQTT-4.7.2-1]
func isStatus(filter string) bool { return strings.HasPrefix(filter, statusRealm) }

// figure is one status topic.
type figure struct{ topic, value string }

// figures returns the status topics with their values; Broker.mu is held.
func (b *Broker) figures(now time.Time) []figure {
	s := b.stats()
	number := func(topic string, n uint64) figure { return figure{statusRoot + topic, strconv.FormatUint(n, 10)} }
	return []figure{
		{statusRoot + "version", version()},
		{statusRoot + "uptime", strconv.Itoa(int(now.Sub(b.born)/time.Second)) + " seconds"},
		number("clients/connected", uint64(s.Connected)),
		number("clients/total", uint64(s.Sessions)),
		number("bytes/received", s.BytesReceived),
		number("bytes/sent", s.BytesSent),
		number("publish/messages/received", s.Received),
		number("publish/messages/sent", s.Sent),
		number("publish/messages/dropped", s.Dropped),
		number("subscriptions/count", uint64(s.Subscriptions)),
		number("retained messages/count", uint64(s.Retained)),
		number("memory/bytes", uint64(s.Memory)),
	}
}

// version names the module and its version, where the build knows it.
var version = sync.OnceValue(func() string {
	const module = "github.com/seed65a45251/mqtt"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return module
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module && m.Version != "" {
			return module + " " + m.Version
		}
	}
	return module
})

// watchStatus counts a subscription in; Broker.mu is held.
func (b *Broker) watchStatus() {
	if b.cfg.StatusInterval < 0 {
		return
	}
	b.status.subscriptions++
	if b.status.timer == nil && !b.closed {
		b.status.told = make(map[string]string)
		b.startStatus(time.Now())
	}
}

func (b *Broker) startStatus(now time.Time) {
	b.status.due = now.Add(b.cfg.StatusInterval)
	b.status.timer = b.after(b.cfg.StatusInterval, b.publishStatus)
}

// unwatchStatus counts it out again.
func (b *Broker) unwatchStatus() {
	if b.cfg.StatusInterval < 0 {
		return
	}
	if b.status.subscriptions--; b.status.subscriptions == 0 {
		b.stopStatus()
	}
}

func (b *Broker) stopStatus() {
	b.stop(b.status.timer)
	b.status.timer = nil
}

// statusFor returns what a new subscriber gets as retained messages; Broker.mu is
// held.
func (b *Broker) statusFor(filter string, now time.Time) []*message {
	if !isStatus(filter) || b.cfg.StatusInterval < 0 {
		return nil
	}
	var found []*message
	for _, f := range b.figures(now) {
		if match.MatchPlain(filter, f.topic) {
			found = append(found, b.statusMessage(f, now))
		}
	}
	return found
}

func (b *Broker) statusMessage(f figure, now time.Time) *message {
	return newMessage(&wire.Publish{Topic: f.topic, Payload: []byte(f.value)}, "", now)
}

// publishStatus sends the subscribers what has changed.
func (b *Broker) publishStatus() {
	now := time.Now()
	var changed []figure
	b.mu.Lock()
	if b.status.timer == nil || now.Before(b.status.due) || b.closed {
		b.mu.Unlock()
		return // stopped too late; there may be another timer by now
	}
	for _, f := range b.figures(now) {
		if b.status.told[f.topic] != f.value {
			b.status.told[f.topic] = f.value
			changed = append(changed, f)
		}
	}
	b.startStatus(now)
	b.mu.Unlock()
	var r router
	for _, f := range changed {
		b.publish(&r, b.statusMessage(f, now), now, source{})
	}
	r.flush()
}
