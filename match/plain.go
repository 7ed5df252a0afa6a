package match

// A word of eight equal bytes is the byte times ones.
const ones = 0x0101010101010101

// plainASCII reports whether s has none of U+0000, #, + and bytes that are not
// ASCII, eight bytes at a time: it decides for most topic names, of which every
// publish checks one.
func plainASCII(s string) bool {
	if len(s) < 8 {
		for i := range len(s) {
			if c := s[i]; c == 0 || c == '#' || c == '+' || c >= 0x80 {
				return false
			}
		}
		return true
	}
	// The last word overlaps the one before it instead of a loop over the rest.
	odd := oddBytes(word(s[len(s)-8:]))
	for ; len(s) > 8; s = s[8:] {
		odd |= oddBytes(word(s))
	}
	return odd == 0
}

// word loads the first eight bytes of s; the compiler makes one load of it.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// oddBytes is zero when no byte of w is one that plainASCII looks for. Top bits
// tell: those of w are set by what is not ASCII, and as long as none is, those of
// the differences only by the borrow of a byte that was zero.
func oddBytes(w uint64) uint64 {
	// # and + differ in one bit; with that bit set, both become zero here.
	wild := (w | ones*('#'^'+')) ^ ones*'+'
	return (w | (w - ones) | (wild - ones)) & (ones * 0x80)
}
