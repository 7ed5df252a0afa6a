package wire

// filter writes a topic filter.
func (e *encoder) filter(x string) {
	if !e.writing && !validFilter(x, e.version) {
		e.fail("Filter", "is not a topic filter")
	}
	e.string("Filter", x) // [MQTT-3.8.3-1] [MQTT-3.10.3-1]
}

// filter takes a topic filter.
func (c *cursor) filter(v Version) string {
	x := c.string()
	if c.err == nil && !validFilter(x, v) {
		c.protocolError("not a topic filter")
	}
	return x
}
