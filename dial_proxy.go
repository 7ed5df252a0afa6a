package mqtt

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/proxy"

	"github.com/seed65a45251/mqtt/internal/line"
)

// ProxyFromEnvironment is the value of Config.Proxy that asks the environment.
const ProxyFromEnvironment = "environment"

// newProxy returns the function that finds the proxy for a server; nil: there is
// none. Errors about proxies never repeat what they are about: it may be a
// password.
func (c *Config) newProxy() (func(*url.URL) (*url.URL, error), error) {
	switch c.Proxy {
	case "":
		return nil, nil
	case ProxyFromEnvironment:
		return proxyOfEnvironment, nil
	}
	u, err := parseURL(c.Proxy)
	if err != nil {
		return nil, invalid("Config.Proxy", "can not be parsed; write http://host:port, with %%-escapes in user and password")
	}
	if u, err = checkProxy("Config.Proxy", u); err != nil {
		return nil, err
	}
	return func(*url.URL) (*url.URL, error) { return u, nil }, nil
}

// proxyOfEnvironment is net/http's idea of the environment, which Go programs
// have in common.
func proxyOfEnvironment(server *url.URL) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(&http.Request{URL: server})
	if err != nil {
		return nil, errors.New("the proxy that the environment names can not be used")
	}
	if u == nil {
		return nil, nil
	}
	return checkProxy("proxy of the environment", u)
}

// checkProxy returns u with a port.
func checkProxy(what string, u *url.URL) (*url.URL, error) {
	ports := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}
	port, known := ports[u.Scheme]
	if !known {
		return nil, invalid(what, "scheme %.20q is not http, https or socks5", u.Scheme)
	}
	if u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, invalid(what, "is not credentials, a host and a port")
	}
	if password, _ := u.User.Password(); len(u.User.Username()) > 255 || len(password) > 255 {
		return nil, invalid(what, "has a user or password of more than 255 bytes")
	}
	complete := *u
	if u.Port() == "" {
		complete.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return &complete, nil
}

// dial makes the network connection to one address of e.
func (c *Config) dial(ctx context.Context, e endpoint, address string) (net.Conn, error) {
	if e.proxy == nil {
		return c.dialPlain(ctx, e.network, address)
	}
	address = zoneless(address)
	if strings.HasPrefix(e.proxy.Scheme, "socks5") {
		return c.dialSOCKS(ctx, e.proxy, address)
	}
	return c.dialConnect(ctx, e.proxy, address)
}

// plainDialer is dialPlain in the shape that the proxy package takes. It remembers
// the connection, which that package hides.
type plainDialer struct {
	c     *Config
	below net.Conn
}

func (d *plainDialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d *plainDialer) DialContext(ctx context.Context, network, address string) (nc net.Conn, err error) {
	nc, err = d.c.dialPlain(ctx, network, address)
	d.below = nc
	return nc, err
}

func (c *Config) dialSOCKS(ctx context.Context, u *url.URL, address string) (net.Conn, error) {
	var auth *proxy.Auth
	if u.User != nil {
		password, _ := u.User.Password()
		auth = &proxy.Auth{User: u.User.Username(), Password: password}
	}
	plain := &plainDialer{c: c}
	d, err := proxy.SOCKS5("tcp", u.Host, auth, plain)
	if err != nil {
		return nil, err
	}
	nc, err := d.(proxy.ContextDialer).DialContext(ctx, "tcp", address)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// The deadline is that of ctx, which may be a moment behind and knows
		// better what it was for.
		<-ctx.Done()
	}
	if err != nil {
		return nil, err
	}
	return &tunnel{nc, plain.below}, nil
}

// dialConnect asks an HTTP proxy for a tunnel.
func (c *Config) dialConnect(ctx context.Context, u *url.URL, address string) (net.Conn, error) {
	nc, err := c.dialPlain(ctx, "tcp", u.Host)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	if u.Scheme == "https" {
		if nc, err = startTLS(ctx, nc, c.proxyTLS(), u.Hostname()); err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
	}
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if u.User != nil {
		password, _ := u.User.Password()
		secret := base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
		r.Header.Set("Proxy-Authorization", "Basic "+secret)
	}
	response, early, err := exchange(ctx, nc, r, r.Write)
	if err == nil && response.StatusCode/100 != 2 {
		err = &HTTPError{Proxy: true, StatusCode: response.StatusCode}
	}
	if err != nil {
		cut(nc, line.Under(nc))
		return nil, fmt.Errorf("proxy: %w", err)
	}
	if len(early) > 0 {
		return &earlyConn{tunnel: tunnel{nc, nc}, early: bufio.NewReader(io.MultiReader(strings.NewReader(string(early)), nc))}, nil
	}
	return nc, nil
}

// proxyTLS has the roots for the server, and nothing that is for the server only.
func (c *Config) proxyTLS() *tls.Config {
	conf := &tls.Config{}
	if c.TLS != nil {
		conf.RootCAs, conf.MinVersion = c.TLS.RootCAs, c.TLS.MinVersion
	}
	return conf
}

// earlyConn first gives what the server said before the proxy's answer was read.
type earlyConn struct {
	tunnel
	early io.Reader
}

func (c *earlyConn) Read(b []byte) (int, error) { return c.early.Read(b) }
