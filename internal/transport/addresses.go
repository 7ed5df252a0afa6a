package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// maxAddresses bounds how many addresses of one host are tried: the answer of a
// name server is not to be trusted with our time.
const maxAddresses = 16

// Addresses returns where e can be dialled, in the order to try. A proxy, the
// caller's function and a browser resolve names themselves.
func (d *Dialer) Addresses(ctx context.Context, e Endpoint) ([]string, error) {
	if d.options.Dial != nil || e.proxy != nil || e.network != "tcp" || inBrowser {
		return []string{e.Address}, nil
	}
	host, port, err := net.SplitHostPort(e.Address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{e.Address}, nil
	}
	found, err := d.network.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, a := range alternate(found, d.options.LocalAddr) {
		addrs = append(addrs, net.JoinHostPort(a.String(), port))
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no address that Config.LocalAddr can reach", host)
	}
	return addrs[:min(len(addrs), maxAddresses)], nil
}

// alternate changes between the families, beginning with that of the first
// address, so that a family which does not work here costs little. It leaves out
// the one to which local cannot be bound.
func alternate(found []netip.Addr, local string) (mixed []netip.Addr) {
	bound, _ := parseLocalAddr(local)
	var families [2][]netip.Addr // that of the first address, the other
	for _, a := range found {
		a = a.Unmap()
		if bound != nil && bound.IP != nil && (bound.IP.To4() != nil) != a.Is4() {
			continue
		}
		i := 0
		if len(families[0]) > 0 && families[0][0].Is4() != a.Is4() {
			i = 1
		}
		families[i] = append(families[i], a)
	}
	for i := range max(len(families[0]), len(families[1])) {
		for _, f := range families {
			if i < len(f) {
				mixed = append(mixed, f[i])
			}
		}
	}
	return mixed
}
