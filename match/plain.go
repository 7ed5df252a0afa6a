package match

// ones times a byte is a word of eight such bytes.
const ones = 0x0101010101010101

// plainASCII reports whether s consists of ASCII other than U+0000, # and +. It looks
// at eight bytes at a time. For most topic names, which are checked on every publish,
// no other check is needed.
func plainASCII(s string) bool {
	if len(s) < 8 {
		for i := range len(s) {
			if c := s[i]; c == 0 || c == '#' || c == '+' || c >= 0x80 {
				return false
			}
		}
		return true
	}
	// The last word overlaps the one before it, so that no loop over the last bytes
	// is needed.
	odd := oddBytes(word(s[len(s)-8:]))
	for ; len(s) > 8; s = s[8:] {
		odd |= oddBytes(word(s))
	}
	return odd == 0
}

// word returns the first eight bytes of s. The compiler makes a single load of it.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// oddBytes is zero if w has no byte that plainASCII looks for. The top bits tell.
// Those of w are set by bytes that are not ASCII. If there are none, those of the
// differences are set only by the borrow of a byte that was zero.
func oddBytes(w uint64) uint64 {
	// # and + differ in one bit; with that bit set, both become zero here.
	wild := (w | ones*('#'^'+')) ^ ones*'+'
	return (w | (w - ones) | (wild - ones)) & (ones * 0x80)
}
