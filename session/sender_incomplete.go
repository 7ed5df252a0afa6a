package session

import (
	"cmp"
	"slices"
)

// Incomplete appends to dst what was submitted and is not completed, in the order of
// Submit, for an owner who has to decide what becomes of it: see [Outgoing.Sent] and
// [Outgoing.Released]. A QoS 0 message whose payload is being written is left out.
func (s *Sender) Incomplete(dst []*Outgoing) []*Outgoing {
	first := len(dst)
	for _, l := range []*outgoingList{&s.released, &s.published, &s.queue} {
		for o := l.head; o != nil; o = o.next {
			dst = append(dst, o)
		}
	}
	slices.SortFunc(dst[first:], func(a, b *Outgoing) int { return cmp.Compare(a.seq, b.seq) })
	return dst
}
