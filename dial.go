package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// network is what dialling needs of the operating system.
type network interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// systemNetwork is the network of the operating system.
type systemNetwork struct {
	*net.Resolver
	tcp, unix net.Dialer
}

func (n *systemNetwork) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network == "unix" {
		return n.unix.DialContext(ctx, network, address)
	}
	return n.tcp.DialContext(ctx, network, address)
}

// plainNetwork is that of everybody who sets neither Resolver nor LocalAddr.
var plainNetwork = &systemNetwork{Resolver: net.DefaultResolver}

// newNetwork follows Resolver and LocalAddr.
func (c *Config) newNetwork() (network, error) {
	if c.Resolver == nil && c.LocalAddr == "" && net.DefaultResolver == plainNetwork.Resolver {
		return plainNetwork, nil
	}
	n := &systemNetwork{Resolver: c.Resolver}
	if n.Resolver == nil {
		n.Resolver = net.DefaultResolver
	}
	n.tcp.Resolver = n.Resolver
	if c.LocalAddr == "" {
		return n, nil
	}
	if c.Dial != nil {
		return nil, invalid("Config.LocalAddr", "has no effect together with Dial")
	}
	local, err := parseLocalAddr(c.LocalAddr)
	if err != nil {
		return nil, err
	}
	n.tcp.LocalAddr = local
	if local.Port != 0 {
		n.tcp.Control = reuseAddress
	}
	return n, nil
}

func parseLocalAddr(text string) (*net.TCPAddr, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)), nil
	}
	host, port, err := net.SplitHostPort(text)
	if err == nil && host == "" {
		host = "::" // either family
	}
	addr, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil {
		return nil, invalid("Config.LocalAddr", "%.60q is not an IP address, address:port or :port", text)
	}
	local := net.TCPAddrFromAddrPort(addr)
	if addr.Addr().IsUnspecified() {
		local.IP = nil
	}
	return local, nil
}

// dialPlain makes a network connection without a proxy, and says when it is dead.
func (c *Config) dialPlain(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := c.dialBare(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return watch(ctx, nc), nil
}

// dialBare makes a network connection, by the caller's function if there is one.
func (c *Config) dialBare(ctx context.Context, network, address string) (net.Conn, error) {
	if c.Dial == nil {
		return c.network.DialContext(ctx, network, address)
	}
	type result struct {
		nc  net.Conn
		err error
	}
	done := make(chan result, 1)
	go func() {
		nc, err := c.Dial(ctx, network, address)
		if err == nil && nc == nil {
			err = errors.New("the Dial function returned neither a connection nor an error")
		}
		done <- result{nc, err}
	}()
	select {
	case r := <-done:
		return r.nc, r.err
	case <-ctx.Done():
		// As in detached, but a connection that comes too late is closed.
		go func() {
			if r := <-done; r.nc != nil {
				r.nc.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// startTLS makes nc, which it takes over, a TLS connection to host.
func startTLS(ctx context.Context, nc net.Conn, conf *tls.Config, host string) (net.Conn, error) {
	conf = conf.Clone()
	if conf.ServerName == "" {
		conf.ServerName = zoneless(host)
	}
	if conf.MinVersion == 0 {
		conf.MinVersion = tls.VersionTLS12
	}
	tc := tls.Client(nc, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		if _, other := errors.AsType[tls.RecordHeaderError](err); other {
			err = fmt.Errorf("server does not speak TLS; did you mean a URL without it? %w", err)
		}
		return nil, err
	}
	return tc, nil
}

// maxAddresses bounds how many addresses of one host are tried: the answer of a
// name server is not to be trusted with our time.
const maxAddresses = 16

// addresses returns where e can be dialled, in the order to try. A proxy and the
// caller's function resolve names themselves.
func (c *Config) addresses(ctx context.Context, e endpoint) ([]string, error) {
	if c.Dial != nil || e.proxy != nil || e.network != "tcp" {
		return []string{e.address}, nil
	}
	host, port, err := net.SplitHostPort(e.address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{e.address}, nil
	}
	found, err := c.network.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, a := range alternate(found, c.LocalAddr) {
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
