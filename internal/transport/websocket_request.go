package transport

import (
	"net"
	"strings"
)

// requestURL is the URL for the request line and the Host header.
func (s *Server) requestURL() string {
	text, host := "ws://", zoneless(s.Address)
	if s.TLS {
		text = "wss://"
	}
	if s.Unix {
		host = "localhost"
	} else if net.JoinHostPort(s.Host, s.port) == host {
		// Signatures are made over the host without a port that goes without saying.
		host = strings.TrimSuffix(host, ":"+s.port)
	}
	text += host + s.Path
	if s.Query != "" {
		text += "?" + s.Query
	}
	return text
}
