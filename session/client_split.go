package session

import (
	"iter"

	"github.com/seed65a45251/mqtt/wire"
)

// Check returns the error with which [Client.Request] would fail now, or nil.
func (c *Client) Check(r *Request) error {
	if c.phase != connected {
		return ErrNotConnected
	}
	if err := r.check(&c.link.Limits); err != nil {
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

// SplitSubscribe is [Limits.SplitSubscribe] for this connection. It also separates
// filters because of which the server may have ended connections: a suspect goes into
// a packet of its own, and a filter that is blamed less goes together with filters
// that are blamed equally. The order of the filters stays.
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

// apart yields the ranges of filters that may go into one packet. A suspect is alone,
// and others are together with filters that are blamed equally.
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
