package session

import "github.com/seed65a45251/mqtt/wire"

// SplitSubscribe divides the filters of p among as many SUBSCRIBEs as the peer's maximum
// packet size requires, with at most most filters each. Zero most means 65,536, which
// decoders accept by default. A filter that is too large for any packet gets one of its
// own.
func (l *Limits) SplitSubscribe(p *wire.Subscribe, v wire.Version, most int) []*wire.Subscribe {
	part, rest := *p, p.Filters
	part.Filters = nil
	var list []*wire.Subscribe
	for _, n := range l.split(len(rest), most, part.Size(v), func(i int) int { return len(p.Filters[i].Filter) + 1 }) {
		part.Filters, rest = rest[:n:n], rest[n:]
		list = append(list, new(part))
	}
	return list
}

// SplitUnsubscribe is SplitSubscribe for an UNSUBSCRIBE.
func (l *Limits) SplitUnsubscribe(p *wire.Unsubscribe, v wire.Version, most int) []*wire.Unsubscribe {
	part, rest := *p, p.Filters
	part.Filters = nil
	var list []*wire.Unsubscribe
	for _, n := range l.split(len(rest), most, part.Size(v), func(i int) int { return len(p.Filters[i]) }) {
		part.Filters, rest = rest[:n:n], rest[n:]
		list = append(list, new(part))
	}
	return list
}

// split returns how many of n filters go into each packet. head is the size of a
// packet without filters. size returns the size of a filter without its length field.
func (l *Limits) split(n, most, head int, size func(i int) int) (counts []int) {
	if most <= 0 {
		most = 1 << 16
	}
	limit := wire.MaxRemainingLength
	if l.MaximumPacketSize > 0 {
		limit = min(limit, int(l.MaximumPacketSize))
	}
	// The remaining length may take three bytes more than in head.
	const slack = 3
	count, total := 0, 0
	for i := range n {
		s := 2 + size(i)
		if count > 0 && (count == most || head+slack+total+s > limit) {
			counts = append(counts, count)
			count, total = 0, 0
		}
		count++
		total += s
	}
	return append(counts, count)
}
