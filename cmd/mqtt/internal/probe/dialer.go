package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/transport"
	"github.com/seed65a45251/mqtt/wire"
)

// dialer makes network connections to the server.
type dialer struct {
	cfg    mqtt.Config
	server transport.Server
	inner  *transport.Dialer

	mu      sync.Mutex
	state   *tls.ConnectionState // guarded by mu: of the last connection; nil: no TLS
	address string               // guarded by mu: where the last connection leads
	number  int                  // guarded by mu: of connections
}

// login is what proves who we are.
type login struct {
	username   *string
	password   []byte
	properties []wire.UserProperty
}

func newDialer(server string, cfg mqtt.Config) (*dialer, error) {
	s, user, err := transport.Parse(server)
	if err != nil {
		return nil, err
	}
	if cfg.Username == "" && cfg.Password == "" && user != nil {
		cfg.Username = user.Username()
		if password, ok := user.Password(); ok {
			cfg.Password = mqtt.Secret(password)
			if password == "" {
				cfg.Password = mqtt.Empty
			}
		}
	}
	if cfg.Authenticator != nil {
		return nil, errors.New("enhanced authentication is not supported")
	}
	inner, err := transport.New(transport.Options{
		Dial: cfg.Dial, Resolver: cfg.Resolver, LocalAddr: cfg.LocalAddr, Proxy: cfg.Proxy, TLS: cfg.TLS,
	})
	if err != nil {
		return nil, err
	}
	return &dialer{cfg: cfg, server: s, inner: inner}, nil
}

// dial makes a connection to the first address that answers.
func (d *dialer) dial(ctx context.Context, v wire.Version) (*transport.Conn, *login, error) {
	a, err := d.attempt(ctx)
	if err != nil {
		return nil, nil, err
	}
	endpoints, err := d.inner.Endpoints(ctx, d.server)
	if err != nil {
		return nil, nil, err
	}
	err = errors.New("the server has no address")
	for _, e := range endpoints {
		var nc *transport.Conn
		if nc, err = d.reach(ctx, e, a, v); err == nil {
			return nc, loginOf(a), nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, nil, err
}

// attempt asks the user's function for what this connection uses.
func (d *dialer) attempt(ctx context.Context) (*mqtt.Attempt, error) {
	d.mu.Lock()
	d.number++
	a := &mqtt.Attempt{
		Number: d.number, Server: d.server.URL(), Header: d.cfg.Header.Clone(), TLS: d.cfg.TLS.Clone(),
		Username: d.cfg.Username, Password: d.cfg.Password, UserProperties: d.cfg.UserProperties,
	}
	d.mu.Unlock()
	if a.Header == nil {
		a.Header = http.Header{}
	}
	if a.TLS == nil {
		a.TLS = &tls.Config{}
	}
	if d.cfg.Attempt == nil {
		return a, nil
	}
	return a, d.cfg.Attempt(ctx, a)
}

func loginOf(a *mqtt.Attempt) *login {
	l := &login{properties: a.UserProperties}
	switch a.Username {
	case "":
	case mqtt.Empty:
		l.username = new("")
	default:
		l.username = &a.Username
	}
	switch a.Password {
	case "":
	case mqtt.Empty:
		l.password = []byte{}
	default:
		l.password = []byte(a.Password)
	}
	return l
}

func (d *dialer) reach(ctx context.Context, e transport.Endpoint, a *mqtt.Attempt, v wire.Version) (*transport.Conn, error) {
	addresses, err := d.inner.Addresses(ctx, e)
	if err != nil {
		return nil, err
	}
	nc, address, _, err := d.inner.Race(ctx, e, addresses)
	if err != nil {
		return nil, err
	}
	var state *tls.ConnectionState
	conf := a.TLS.Clone()
	verify := conf.VerifyConnection
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		state = &cs
		if verify != nil {
			return verify(cs)
		}
		return nil
	}
	protocols := []string{"mqtt"}
	if v == wire.V31 {
		protocols = []string{"mqttv3.1", "mqtt"}
	}
	if err := nc.Upgrade(ctx, e.Host, transport.Upgrade{Server: d.server, TLS: conf, Header: a.Header, Subprotocols: protocols}); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state, d.address = state, address
	return nc, nil
}

// last returns what is known of the last connection.
func (d *dialer) last() (address string, state *tls.ConnectionState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.address, d.state
}

// writeTime bounds a write, which on a healthy connection takes no time.
const writeTime = 10 * time.Second
