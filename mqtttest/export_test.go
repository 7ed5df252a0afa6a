package mqtttest

import "testing"

// Report lets b report to another test until restore is called.
func (b *Broker) Report(t testing.TB) (restore func()) {
	own := b.t
	b.t = t
	return func() { b.t = own }
}

// Remember bounds what b remembers.
func (b *Broker) Remember(events, bytes int) { b.recorder.limit = limit{events, bytes} }
