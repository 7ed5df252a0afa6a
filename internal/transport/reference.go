package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// maxReference bounds the bytes of a Server Reference.
const maxReference = 1024

// Named understands the Server Reference that s has sent: hosts with or without a port,
// separated by spaces. They are reached in the same way as s, but without its query. If
// anything else is in it, nothing of it is used.
func (s Server) Named(reference string) ([]Server, error) {
	switch {
	case reference == "":
		return nil, errors.New("the server names no other")
	case len(reference) > maxReference:
		return nil, errors.New("server reference of more than 1024 bytes")
	case s.Unix:
		return nil, errors.New("a Unix socket does not tell how to reach a host")
	}
	via := s
	via.Query = ""
	if s.SRV {
		via.Scheme = strings.TrimSuffix(s.Scheme, "+srv")
		via.scheme = schemes[via.Scheme]
	}
	var servers []Server
	for part := range strings.FieldsFuncSeq(reference, func(r rune) bool { return r == ' ' }) {
		named := via
		var ok bool
		if named.Host, named.Address, ok = parseHostPort(part, via.port); !ok {
			return nil, fmt.Errorf("server reference %.80q is not a list of host:port", reference)
		}
		named.Address = sharingZone(named.Address, s.Address)
		servers = append(servers, named)
	}
	if len(servers) == 0 {
		return nil, errors.New("the server names no other")
	}
	return servers[:min(len(servers), maxRecords)], nil
}

// parseHostPort is stricter than dialling: what comes from a server shall be a
// host and nothing that only looks like one.
func parseHostPort(text, port string) (host, address string, ok bool) {
	host = text
	if h, p, err := net.SplitHostPort(text); err == nil {
		host, port = h, p
	} else if inner, found := strings.CutPrefix(text, "["); found {
		if host, found = strings.CutSuffix(inner, "]"); !found {
			return "", "", false
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", false
	}
	bracketed := text[0] == '['
	if addr, err := netip.ParseAddr(host); err == nil {
		// A zone means something on the machine that uses it only, and may hold anything.
		return host, net.JoinHostPort(host, port), addr.Is4() != bracketed && addr.Zone() == ""
	}
	valid := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_'
	}
	if bracketed || host == "" || len(host) > 253 || strings.ContainsFunc(host, func(r rune) bool { return !valid(r) }) {
		return "", "", false
	}
	return host, net.JoinHostPort(host, port), true
}
