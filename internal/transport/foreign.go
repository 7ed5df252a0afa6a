package transport

import "strings"

// firstBytes is the beginning of what a server sends.
type firstBytes struct {
	b [5]byte
	n uint8
}

func (g *firstBytes) note(b []byte) {
	if int(g.n) < len(g.b) {
		g.n += uint8(copy(g.b[g.n:], b))
	}
}

func (g *firstBytes) isHTTP() bool { return g.begins("HTTP/") }

// isAlert says that it is one of TLS.
func (g *firstBytes) isAlert() bool { return g.begins("\x15\x03") }

// begins says that what has come goes with text, at least its first byte.
func (g *firstBytes) begins(text string) bool {
	n := min(int(g.n), len(text))
	return n > 0 && string(g.b[:n]) == text[:n]
}

// Silent reports whether nothing was read yet. It belongs to whoever reads.
func (c *Conn) Silent() bool { return c.firstBytes.n == 0 }

// Foreign reports whether what the server has sent first is HTTP or TLS, and not MQTT.
// Neither can be: they would be a PUBACK and a CONNECT with flags that these do not
// have. It belongs to whoever reads.
func (c *Conn) Foreign() bool { return c.firstBytes.isHTTP() || c.firstBytes.isAlert() }

// Recognise returns a *ForeignError if speaking MQTT with s over c failed with err
// because s speaks something else, and otherwise err, with what to do about it if that is
// known. It belongs to whoever reads.
func (c *Conn) Recognise(s *Server, err error) error {
	if s.WebSocket || s.Unix {
		return c.advise(err)
	}
	switch g := &c.firstBytes; {
	case g.isHTTP() && s.TLS:
		return &ForeignError{"HTTP", "wss://" + s.Address + webSocketPath, err}
	case g.isHTTP():
		return &ForeignError{"HTTP", "ws://" + s.Address + webSocketPath, err}
	case g.isAlert() && !s.TLS:
		return &ForeignError{"TLS", "mqtts://" + s.Address, err}
	case !s.TLS && !s.SRV && c.Silent() && ClosedByPeer(err) && !strings.HasSuffix(s.Address, ":"+schemes["mqtt"].port):
		return advised(err, "without a word, as a port of TLS does; did you mean mqtts://"+s.Address+"?")
	}
	return c.advise(err)
}
