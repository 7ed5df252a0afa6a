package session

import "github.com/seed65a45251/mqtt/wire"

// tally counts the asks for one filter, so that no event has to look at all of them.
type tally struct {
	wanted int    // those that want the filter
	due    int    // those for which SUBSCRIBE has to be sent
	qos    [4]int // of those that want it, by the QoS that they want
	local  int    // likewise, those that want what this client publishes
	keeps  int    // likewise, those that want the retain flag as it was published
}

// count adds a to the tally, or takes it out where by is -1.
func (t *tally) count(a *ask, by int) {
	if a.state == askDue {
		t.due += by
	}
	if !a.wants() {
		return
	}
	o := a.want()
	t.wanted += by
	t.qos[o.QoS&3] += by
	if !o.NoLocal {
		t.local += by
	}
	if o.RetainAsPublished {
		t.keeps += by
	}
}

// merged returns options that serve all who want the filter.
func (t *tally) merged(filter string) wire.SubscribeFilter {
	m := wire.SubscribeFilter{Filter: filter, NoLocal: t.local == 0, RetainAsPublished: t.keeps > 0}
	for qos, n := range t.qos {
		if n > 0 {
			m.QoS = wire.QoS(qos)
		}
	}
	return m
}

// become changes the state of a.
func (a *ask) become(s askState) {
	t := &a.filter.tally
	t.count(a, -1)
	a.state = s
	t.count(a, 1)
}

// join adds a to the asks of its filter.
func (f *subscribed) join(a *ask) {
	a.place = len(f.asks)
	f.asks = append(f.asks, a)
	f.tally.count(a, 1)
}

// part takes a out. Requests under way may still have it.
func (f *subscribed) part(a *ask) {
	last := len(f.asks) - 1
	moved := f.asks[last]
	f.asks[a.place], moved.place = moved, a.place
	f.asks[last] = nil
	f.asks = f.asks[:last]
	f.tally.count(a, -1)
	a.state = askWithdrawn
}
