package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
)

// server is a parsed server URL.
type server struct {
	network, address string
	tls              bool
	host             string // for the certificate
	username         string
	password         Secret
}

// parseServer understands mqtt, tcp, mqtts, tls, ssl and unix URLs. Its errors
// never repeat the input: a password that is not escaped can be anywhere in it,
// even where a port or a path belongs.
func parseServer(raw string) (server, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return server{}, invalid("server URL", "can not be parsed; write mqtt://host:port, with %%-escapes in user and password")
	}
	s := server{network: "tcp", host: u.Hostname()}
	port := "1883"
	switch strings.ToLower(u.Scheme) {
	case "mqtt", "tcp":
	case "mqtts", "tls", "ssl":
		s.tls, port = true, "8883"
	case "unix":
		s.network, s.address = "unix", u.Host+u.Path
		if s.address == "" {
			return server{}, invalid("server URL", "names no socket")
		}
	case "":
		return server{}, invalid("server URL", "has no scheme; write mqtt://host:port")
	default:
		return server{}, invalid("server URL", "scheme %q is not mqtt, tcp, mqtts, tls, ssl or unix", u.Scheme)
	}
	if s.network == "tcp" {
		if s.host == "" {
			return server{}, invalid("server URL", "names no host")
		}
		if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
			return server{}, invalid("server URL", "has more than credentials, a host and a port")
		}
		if u.Port() != "" {
			port = u.Port()
		}
		s.address = net.JoinHostPort(s.host, port)
	}
	if u.User != nil {
		s.username = u.User.Username()
		password, _ := u.User.Password()
		s.password = Secret(password)
	}
	return s, nil
}

// dial makes the network connection to s within ctx.
func (c *Config) dial(ctx context.Context, s server) (net.Conn, error) {
	nc, err := c.dialNetwork(ctx, s)
	if err != nil || !s.tls {
		return nc, err
	}
	conf := &tls.Config{}
	if c.TLS != nil {
		conf = c.TLS.Clone()
	}
	if conf.ServerName == "" {
		conf.ServerName = s.host
	}
	tc := tls.Client(nc, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return tc, nil
}

func (c *Config) dialNetwork(ctx context.Context, s server) (net.Conn, error) {
	if c.Dial == nil {
		var d net.Dialer
		return d.DialContext(ctx, s.network, s.address)
	}
	// The caller's function may call the client's methods, Close among them,
	// or ignore ctx. It must not be able to hold up the goroutine that Close
	// waits for.
	type result struct {
		nc  net.Conn
		err error
	}
	done := make(chan result, 1)
	go func() {
		nc, err := c.Dial(ctx, s.network, s.address)
		if err == nil && nc == nil {
			err = errors.New("the Dial function returned neither a connection nor an error")
		}
		done <- result{nc, err}
	}()
	select {
	case r := <-done:
		return r.nc, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.nc != nil {
				r.nc.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}
