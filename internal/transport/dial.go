package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/seed65a45251/mqtt/internal/line"
)

// Network is what dialling needs of the operating system.
type Network interface {
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

// plainResolver is the resolver of plainNetwork: tests replace net.DefaultResolver.
var plainResolver = net.DefaultResolver

// system follows Resolver and LocalAddr.
func (o *Options) system() (Network, error) {
	if inBrowser || o.Resolver == nil && o.LocalAddr == "" && net.DefaultResolver == plainResolver {
		return plainNetwork, nil
	}
	n := &systemNetwork{Resolver: o.Resolver}
	if n.Resolver == nil {
		n.Resolver = net.DefaultResolver
	}
	n.tcp.Resolver = n.Resolver
	if o.LocalAddr == "" {
		return n, nil
	}
	if o.Dial != nil {
		return nil, &OptionError{"LocalAddr", errors.New("has no effect together with Dial")}
	}
	local, err := parseLocalAddr(o.LocalAddr)
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
		return nil, &OptionError{"LocalAddr", fmt.Errorf("%.60q is not an IP address, address:port or :port", text)}
	}
	local := net.TCPAddrFromAddrPort(addr)
	if addr.Addr().IsUnspecified() {
		local.IP = nil
	}
	return local, nil
}

// Dial makes the network connection to one address of e.
func (d *Dialer) Dial(ctx context.Context, e Endpoint, address string) (*Conn, error) {
	if e.proxy != nil {
		return d.dialProxy(ctx, e.proxy, zoneless(address))
	}
	bottom, err := d.dialPlain(ctx, e.network, address)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: bottom, bottom: bottom}, nil
}

// dialPlain makes a network connection without a proxy, and says when it is dead.
func (d *Dialer) dialPlain(ctx context.Context, network, address string) (*line.Conn, error) {
	nc, err := d.dialBare(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return watch(ctx, nc), nil
}

// dialBare makes a network connection, by the caller's function if there is one.
func (d *Dialer) dialBare(ctx context.Context, network, address string) (net.Conn, error) {
	if d.options.Dial == nil {
		return d.network.DialContext(ctx, network, address)
	}
	type result struct {
		nc  net.Conn
		err error
	}
	done := make(chan result, 1)
	go func() {
		nc, err := d.options.Dial(ctx, network, address)
		if err == nil && nc == nil {
			err = errors.New("the Dial function returned neither a connection nor an error")
		}
		done <- result{nc, err}
	}()
	select {
	case r := <-done:
		return r.nc, r.err
	case <-ctx.Done():
		// A connection that comes too late is closed. Dial may ignore ctx.
		go func() {
			if r := <-done; r.nc != nil {
				r.nc.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}
