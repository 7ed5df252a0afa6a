package transport

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// suggestion returns the URL that was probably meant by text which is a host and a port, and
// nothing else: that may be a password. Otherwise it returns "".
func suggestion(text string) string {
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
