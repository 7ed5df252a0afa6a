package transport

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

// ProxyFromEnvironment is the value of Options.Proxy that asks the environment.
const ProxyFromEnvironment = "environment"

// EnvironmentProxy is the Option of an OptionError about the proxy that the environment
// names.
const EnvironmentProxy = "proxy of the environment"

// findProxy returns the function that finds the proxy for a server; nil: there is
// none. Errors about proxies never repeat what they are about: it may be a
// password.
func findProxy(setting string) (func(*url.URL) (*url.URL, error), error) {
	switch setting {
	case "":
		return nil, nil
	case ProxyFromEnvironment:
		return proxyOfEnvironment, nil
	}
	u, err := parseURL(setting)
	if err != nil {
		return nil, &OptionError{"Proxy", errors.New("cannot be parsed; write http://host:port, with %-escapes in user and password")}
	}
	if u, err = checkProxy("Proxy", u); err != nil {
		return nil, err
	}
	return func(*url.URL) (*url.URL, error) { return u, nil }, nil
}

// proxyOfEnvironment is net/http's idea of the environment, which Go programs
// have in common.
func proxyOfEnvironment(server *url.URL) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(&http.Request{URL: server})
	if err != nil {
		return nil, errors.New("the proxy that the environment names cannot be used")
	}
	if u == nil {
		return nil, nil
	}
	return checkProxy(EnvironmentProxy, u)
}

// checkProxy returns u with a port.
func checkProxy(option string, u *url.URL) (*url.URL, error) {
	ports := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}
	port, known := ports[u.Scheme]
	if !known {
		return nil, &OptionError{option, fmt.Errorf("scheme %.20q is not http, https or socks5", u.Scheme)}
	}
	if u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, &OptionError{option, errors.New("is not credentials, a host and a port")}
	}
	if password, _ := u.User.Password(); len(u.User.Username()) > 255 || len(password) > 255 {
		return nil, &OptionError{option, errors.New("has a user or password of more than 255 bytes")}
	}
	complete := *u
	if u.Port() == "" {
		complete.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return &complete, nil
}

// dialProxy makes the network connection to address by way of the proxy at u.
func (d *Dialer) dialProxy(ctx context.Context, u *url.URL, address string) (*Conn, error) {
	if strings.HasPrefix(u.Scheme, "socks5") {
		return d.dialSOCKS(ctx, u, address)
	}
	return d.dialConnect(ctx, u, address)
}

// plainDialer is dialPlain in the shape that the proxy package takes. It remembers
// the connection, which that package hides.
type plainDialer struct {
	*Dialer
	bottom *line.Conn
}

func (p *plainDialer) Dial(network, address string) (net.Conn, error) {
	return p.DialContext(context.Background(), network, address)
}

func (p *plainDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	bottom, err := p.dialPlain(ctx, network, address)
	if err != nil {
		return nil, err
	}
	p.bottom = bottom
	return bottom, nil
}

func (d *Dialer) dialSOCKS(ctx context.Context, u *url.URL, address string) (*Conn, error) {
	var auth *proxy.Auth
	if u.User != nil {
		password, _ := u.User.Password()
		auth = &proxy.Auth{User: u.User.Username(), Password: password}
	}
	plain := &plainDialer{Dialer: d}
	socks, err := proxy.SOCKS5("tcp", u.Host, auth, plain)
	if err != nil {
		return nil, err
	}
	nc, err := socks.(proxy.ContextDialer).DialContext(ctx, "tcp", address)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// The deadline is that of ctx, which may be a moment behind and knows
		// better what it was for.
		<-ctx.Done()
	}
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: nc, bottom: plain.bottom}, nil
}

// dialConnect asks an HTTP proxy for a tunnel.
func (d *Dialer) dialConnect(ctx context.Context, u *url.URL, address string) (*Conn, error) {
	bottom, err := d.dialPlain(ctx, "tcp", u.Host)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	c := &Conn{Conn: bottom, bottom: bottom}
	if u.Scheme == "https" {
		if c.Conn, err = startTLS(ctx, bottom, d.proxyTLS(), u.Hostname(), &tlsTerms{proxy: true}); err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
	}
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if u.User != nil {
		password, _ := u.User.Password()
		secret := base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
		r.Header.Set("Proxy-Authorization", "Basic "+secret)
	}
	response, early, err := exchange(ctx, c.Conn, r, r.Write)
	if err == nil && response.StatusCode/100 != 2 {
		err = &HTTPError{Proxy: true, StatusCode: response.StatusCode}
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("proxy: %w", err)
	}
	if len(early) > 0 {
		c.Conn = &earlyConn{c.Conn, bufio.NewReader(io.MultiReader(strings.NewReader(string(early)), c.Conn))}
	}
	return c, nil
}

// proxyTLS has the roots for the server, and nothing that is for the server only.
func (d *Dialer) proxyTLS() *tls.Config {
	conf := &tls.Config{}
	if server := d.options.TLS; server != nil {
		conf.RootCAs, conf.MinVersion = server.RootCAs, server.MinVersion
	}
	return conf
}

// earlyConn first gives what the server said before the proxy's answer was read.
type earlyConn struct {
	net.Conn
	early io.Reader
}

func (c *earlyConn) Read(b []byte) (int, error) { return c.early.Read(b) }
