// Package transport leads from a server's URL to a network connection: DNS, SRV
// records, proxies, TCP, Unix sockets, TLS and WebSocket. A [Dialer] finds the
// endpoints of a [Server] and their addresses and dials them; a [Conn] is what comes
// of it. The package knows nothing of MQTT but that the bytes should be MQTT's.
package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
)

// Options says how to dial.
type Options struct {
	// Dial makes the network connection in place of the operating system. If nil, it
	// does not.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolver looks names up. If nil, [net.DefaultResolver] does.
	Resolver *net.Resolver
	// LocalAddr is where TCP connections come from: an address, address:port or :port.
	LocalAddr string
	// Proxy is the URL of a proxy, or [ProxyFromEnvironment], or empty.
	Proxy string
	// TLS has the roots and the least version for a proxy that speaks TLS. If nil,
	// they are those of crypto/tls.
	TLS *tls.Config
	// Network is the operating system's, or another. If nil, it is made from Resolver
	// and LocalAddr.
	Network Network
}

// OptionError says which of the Options cannot be, and why.
type OptionError struct {
	Option string
	Err    error
}

// Error names the option.
func (e *OptionError) Error() string { return e.Option + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *OptionError) Unwrap() error { return e.Err }

// Dialer makes network connections. Its methods may be called at the same time.
type Dialer struct {
	options  Options
	network  Network
	proxyFor func(*url.URL) (*url.URL, error) // nil: there is none
}

// New returns a Dialer. Its error is an *OptionError.
func New(o Options) (*Dialer, error) {
	proxyFor, err := findProxy(o.Proxy)
	if err != nil {
		return nil, err
	}
	system, err := o.system()
	if err != nil {
		return nil, err
	}
	d := &Dialer{options: o, network: o.Network, proxyFor: proxyFor}
	if d.network == nil {
		d.network = system
	}
	return d, nil
}
