package broker

import (
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// figuresLocked returns the status topics with their values. Called with hub.mu held.
func (b *Broker) figuresLocked(now time.Time) []figure {
	s := b.statsLocked()
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

// version returns the module and its version, as far as the build knows it.
var version = sync.OnceValue(func() string {
	const module = "github.com/seed65a45251/mqtt"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return module
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path != module {
			continue
		}
		if m.Replace != nil {
			m = m.Replace // a folder in the place of the module has no version
		}
		if m.Version != "" {
			return module + " " + m.Version
		}
	}
	return module
})

// publishStatus sends the subscribers the figures that have changed.
func (b *Broker) publishStatus() {
	now := time.Now()
	var changed []figure
	b.mu.Lock()
	s := &b.sys
	if s.timer == nil || now.Before(s.due) || b.closed {
		b.mu.Unlock()
		return // the timer was stopped too late; there may be another one by now
	}
	for _, f := range b.figuresLocked(now) {
		if s.told[f.topic] != f.value {
			s.told[f.topic] = f.value
			changed = append(changed, f)
		}
	}
	s.startLocked(now)
	b.mu.Unlock()
	var r router
	for _, f := range changed {
		b.publish(&r, f.message(now), now, publisher{})
	}
	r.flush()
}
