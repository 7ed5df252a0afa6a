package transport

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// The zone of a link-local address, as in fe80::1%eth0, says through which
// interface of this machine the address is reached. It is for dialling and stays
// at home: neither the Host header nor the name that the certificate is checked
// against has it, and no proxy is told (RFC 6874, section 1).

// zoneless returns host, or host:port, without the zone of an IPv6 address.
func zoneless(host string) string {
	begin := strings.IndexByte(host, '%')
	if begin < 0 {
		return host
	}
	end := strings.IndexByte(host, ']')
	if end < begin {
		end = len(host)
	}
	return host[:begin] + host[end:]
}

// parseURL is url.Parse, which wants the % before a zone escaped, for those too
// who write the address as their system shows it.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err == nil {
		return u, nil
	}
	begin, end := strings.IndexByte(raw, '['), strings.IndexByte(raw, ']')
	if begin < 0 || end < begin {
		return nil, err
	}
	if addr, invalid := netip.ParseAddr(raw[begin+1 : end]); invalid != nil || addr.Zone() == "" {
		return nil, err
	}
	address, zone, _ := strings.Cut(raw[begin:end], "%")
	return url.Parse(raw[:begin] + address + "%25" + url.PathEscape(zone) + raw[end:])
}

// sharingZone gives address the zone of the server that named it, if it is a
// link-local address without one: it means a neighbour on the same link.
func sharingZone(address, from string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || !addr.Is6() || !addr.IsLinkLocalUnicast() || addr.Zone() != "" {
		return address
	}
	base, err := netip.ParseAddrPort(from)
	if err != nil || base.Addr().Zone() == "" {
		return address
	}
	return net.JoinHostPort(addr.WithZone(base.Addr().Zone()).String(), port)
}
