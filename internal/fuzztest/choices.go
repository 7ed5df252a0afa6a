package fuzztest

// Choices are the bytes of the fuzzer, read as decisions. When they have ended, every
// decision is 0.
type Choices struct{ rest []byte }

// NewChoices returns the choices in b.
func NewChoices(b []byte) *Choices { return &Choices{b} }

// More reports whether there are choices left.
func (c *Choices) More() bool { return len(c.rest) > 0 }

// Byte returns any byte.
func (c *Choices) Byte() byte {
	if len(c.rest) == 0 {
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

// N returns a number from 0 up to, but not including, n, which is at most 256.
func (c *Choices) N(n int) int { return int(c.Byte()) % n }

// Bool returns a decision.
func (c *Choices) Bool() bool { return c.Byte()&1 == 1 }

// Bytes returns up to most of the bytes that follow.
func (c *Choices) Bytes(most int) []byte {
	n := min(c.N(256), most, len(c.rest))
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

// Pick returns one of all.
func Pick[T any](c *Choices, all ...T) T { return all[c.N(len(all))] }
