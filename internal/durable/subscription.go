package durable

import (
	"crypto/sha256"

	"github.com/seed65a45251/mqtt/wire"
)

// keySubscription is the prefix of the records of filters. A filter may be longer than a
// key, so its hash stands for it.
const keySubscription = "Cs"

func subscriptionKey(filter string) []byte {
	sum := sha256.Sum256([]byte(filter))
	return append([]byte(keySubscription), sum[:16]...)
}

// encodeSubscription returns the record of a filter: two bytes of options, and the filter.
func encodeSubscription(f wire.SubscribeFilter) []byte {
	options := byte(0)
	if f.NoLocal {
		options |= 1
	}
	if f.RetainAsPublished {
		options |= 2
	}
	v := append(begin(2+len(f.Filter)), byte(f.QoS), options)
	return seal(append(v, f.Filter...))
}

func decodeSubscription(v []byte) (f wire.SubscribeFilter, err error) {
	b, err := unseal(v)
	if err != nil {
		return f, err
	}
	if len(b) < 3 || b[0] > 2 || b[1] > 3 {
		return f, errDamaged
	}
	return wire.SubscribeFilter{Filter: string(b[2:]), QoS: wire.QoS(b[0]), NoLocal: b[1]&1 != 0, RetainAsPublished: b[1]&2 != 0}, nil
}

// KeepSubscriptions makes the Journal record filters from now on, and returns those that
// an earlier process wanted. Without it the records of an earlier process go. Call it
// after Attach.
func (j *Journal) KeepSubscriptions(keep bool) []wire.SubscribeFilter {
	filters := j.filters
	j.filters, j.subscriptions = nil, make(map[string]wire.SubscribeFilter)
	for _, f := range filters {
		j.subscriptions[f.Filter] = f
	}
	if keep {
		return filters
	}
	for _, f := range filters {
		j.Unsubscribed(f.Filter)
	}
	j.subscriptions = nil
	return nil
}

// Subscribed implements [session.Journal].
func (j *Journal) Subscribed(f wire.SubscribeFilter) {
	if j.subscriptions == nil || j.subscriptions[f.Filter] == f {
		return
	}
	j.subscriptions[f.Filter] = f
	j.note(put(subscriptionKey(f.Filter), encodeSubscription(f)))
}

// Unsubscribed implements [session.Journal].
func (j *Journal) Unsubscribed(filter string) {
	if _, known := j.subscriptions[filter]; known {
		delete(j.subscriptions, filter)
		j.note(remove(subscriptionKey(filter)))
	}
}

func (j *Journal) readSubscriptions(string) error {
	return j.each(keySubscription, func(_, v []byte) error {
		f, err := decodeSubscription(v)
		if err == nil {
			j.filters = append(j.filters, f)
		}
		return err
	})
}
