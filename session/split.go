package session

import (
	"iter"

	"github.com/seed65a45251/mqtt/wire"
)

// SplitSubscribe divides the filters of p among as many SUBSCRIBEs as the peer's
// maximum packet size asks for, with at most most filters each; 0 means 65,536,
// which is what decoders take by default. A filter that is too large for any packet stays alone in one.
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
// packet without any, size that of a filter without the length before it.
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

// Check says whether r could be sent now: [Client.Request] would fail with the
// same error.
func (c *Client) Check(r *Request) error {
	if c.phase != connected {
		return ErrNotConnected
	}
	if err := c.checkRequest(r); err != nil {
		return err
	}
	var packet wire.Packet
	if r.Subscribe != nil {
		p := *r.Subscribe
		p.PacketID = 1
		packet = &p
	} else {
		p := *r.Unsubscribe
		p.PacketID = 1
		packet = &p
	}
	b, err := packet.Append(nil, c.link.Version)
	if err != nil {
		return err
	}
	return c.link.Limits.checkSize(len(b))
}

// SplitSubscribe is that of [Limits] on this connection. A filter on which the server
// may have ended connections goes into a packet of its own, and before it is a suspect
// into one with others that were there. Their order stays.
func (c *Client) SplitSubscribe(p *wire.Subscribe, most int) (list []*wire.Subscribe) {
	part := *p
	held := func(i int) *blame { return c.Sender.suspicion.filters["s"+p.Filters[i].Filter] }
	for begin, end := range apart(len(p.Filters), held) {
		part.Filters = p.Filters[begin:end:end]
		list = append(list, c.link.Limits.SplitSubscribe(&part, c.link.Version, most)...)
	}
	return list
}

// SplitUnsubscribe is SplitSubscribe for an UNSUBSCRIBE.
func (c *Client) SplitUnsubscribe(p *wire.Unsubscribe, most int) (list []*wire.Unsubscribe) {
	part := *p
	held := func(i int) *blame { return c.Sender.suspicion.filters["u"+p.Filters[i]] }
	for begin, end := range apart(len(p.Filters), held) {
		part.Filters = p.Filters[begin:end:end]
		list = append(list, c.link.Limits.SplitUnsubscribe(&part, c.link.Version, most)...)
	}
	return list
}

// apart yields from where to where filters may go together: each suspect is alone, and
// others stay with those against which the same is held.
func apart(n int, held func(i int) *blame) iter.Seq2[int, int] {
	seen := func(i int) uint8 {
		if b := held(i); b != nil {
			return b.seen
		}
		return 0
	}
	return func(yield func(int, int) bool) {
		for begin := 0; begin < n; {
			end := begin + 1
			for end < n && seen(begin) < suspectAfter && seen(end) == seen(begin) {
				end++
			}
			if !yield(begin, end) {
				return
			}
			begin = end
		}
	}
}
