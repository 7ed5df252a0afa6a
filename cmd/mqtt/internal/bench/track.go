package bench

import "slices"

// verdict is what a sequence number says about a message.
type verdict uint8

const (
	fresh     verdict = iota
	late              // the first copy, after a later message of its stream
	duplicate         // a further copy
)

// span is the sequence numbers from..to-1.
type span struct{ from, to uint64 }

// maxSpans bounds the memory for gaps in a stream. Beyond it the oldest count as lost
// for good.
const maxSpans = 1 << 16

// track follows one stream at one receiver. Its memory grows with the gaps, not with the
// messages.
type track struct {
	next    uint64 // one more than the highest number that came
	missing []span // below next, ascending, with numbers between any two
	given   uint64 // numbers of gaps that were dropped from missing
}

func (t *track) take(sequence uint64) verdict {
	if sequence >= t.next {
		if sequence > t.next {
			t.gap(span{t.next, sequence})
		}
		t.next = sequence + 1
		return fresh
	}
	i, found := slices.BinarySearchFunc(t.missing, sequence, func(s span, n uint64) int {
		switch {
		case s.to <= n:
			return -1
		case s.from > n:
			return 1
		}
		return 0
	})
	if !found {
		return duplicate
	}
	s := &t.missing[i]
	switch {
	case s.to-s.from == 1:
		t.missing = slices.Delete(t.missing, i, i+1)
	case sequence == s.from:
		s.from++
	case sequence == s.to-1:
		s.to--
	default:
		rest := span{sequence + 1, s.to}
		s.to = sequence
		t.missing = slices.Insert(t.missing, i+1, rest)
	}
	return late
}

func (t *track) gap(s span) {
	if len(t.missing) >= maxSpans {
		// Many at once, because each time all others move.
		for _, old := range t.missing[:maxSpans/4] {
			t.given += old.to - old.from
		}
		t.missing = slices.Delete(t.missing, 0, maxSpans/4)
	}
	t.missing = append(t.missing, s)
}

// lost counts the numbers below sent that did not come, without those in failed, which is
// ascending and has the messages that the server may never have got.
func (t *track) lost(sent uint64, failed []uint64) uint64 {
	n := t.given
	for _, s := range t.gaps(sent) {
		n += s.to - s.from
		from, _ := slices.BinarySearch(failed, s.from)
		to, _ := slices.BinarySearch(failed, s.to)
		n -= uint64(to - from)
	}
	return n
}

func (t *track) gaps(sent uint64) []span {
	if t.next >= sent {
		return t.missing
	}
	return append(slices.Clone(t.missing), span{t.next, sent})
}
