package mqtt

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// meant returns the URL that was probably meant by text which is a host and a port, and
// nothing else: that may be a password. Otherwise it returns "".
func meant(text string) string {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host = strings.Trim(text, "[]")
	}
	_, notAddress := netip.ParseAddr(host)
	number, notNumber := strconv.Atoi(port)
	switch {
	case err == nil && (notNumber != nil || number < 1 || number > 65535):
		return ""
	case err != nil && host != "localhost" && notAddress != nil:
		return ""
	case notAddress != nil && (host == "" || strings.ContainsFunc(host, notInName)):
		return ""
	case err != nil && strings.Contains(host, ":"):
		text = "[" + host + "]"
	}
	if port == schemes["mqtts"].port {
		return "mqtts://" + text
	}
	return "mqtt://" + text
}

// notInName reports whether r is in no host name.
func notInName(r rune) bool {
	return r != '-' && r != '.' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// foreignError says that what answered does not speak MQTT.
type foreignError struct {
	said, instead string
	err           error
}

func (e *foreignError) Error() string {
	return "server speaks " + e.said + " and not MQTT; did you mean " + e.instead + "?"
}

func (e *foreignError) Unwrap() error { return e.err }

// greeting is the beginning of what a server sends.
type greeting struct {
	b [5]byte
	n uint8
}

func (g *greeting) note(b []byte) {
	if int(g.n) < len(g.b) {
		g.n += uint8(copy(g.b[g.n:], b))
	}
}

func (g *greeting) isHTTP() bool { return g.begins("HTTP/") }

// isAlert says that it is one of TLS.
func (g *greeting) isAlert() bool { return g.begins("\x15\x03") }

// begins says that what has come goes with text, at least its first byte.
func (g *greeting) begins(text string) bool {
	n := min(int(g.n), len(text))
	return n > 0 && string(g.b[:n]) == text[:n]
}

// foreign says that it is not MQTT. Neither can be: they would be a PUBACK and a CONNECT
// with flags that these do not have.
func (g *greeting) foreign() bool { return g.isHTTP() || g.isAlert() }

// recognise says what the server speaks if the handshake with it failed with err because
// that is not MQTT.
func (k *conn) recognise(s *server, err error) error {
	if s.websocket || s.unix {
		return err
	}
	switch g := &k.greeting; {
	case g.isHTTP() && s.tls:
		return &foreignError{"HTTP", "wss://" + s.address + webSocketPath, err}
	case g.isHTTP():
		return &foreignError{"HTTP", "ws://" + s.address + webSocketPath, err}
	case g.isAlert() && !s.tls:
		return &foreignError{"TLS", "mqtts://" + s.address, err}
	}
	return err
}
