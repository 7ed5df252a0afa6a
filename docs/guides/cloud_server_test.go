package guides_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// cloud emulates a managed server in memory. It speaks 5.0, keeps the rules that the
// service documents, and notes each breach of them.
type cloud struct {
	t        *testing.T
	listener *pipe.Listener
	tls      *tls.Config

	// login judges CONNECT; rule judges every packet after that. An error of rule ends
	// the connection and fails the test.
	login func(*cloudConn, *wire.Connect) *wire.Connack
	rule  func(*cloudConn, wire.Packet) error
	// upgrade judges the request for a WebSocket; nil: there is plain MQTT.
	upgrade func(*http.Request) error

	mu       sync.Mutex
	faults   []error
	connects []*wire.Connect
	conns    map[*cloudConn]bool
	took     int // PUBLISH packets
}

// cloudConn is one connection.
type cloudConn struct {
	*cloud
	net.Conn
	state   tls.ConnectionState
	filters []string
	aliases map[uint16]string
	times   []time.Time // of PUBLISH packets
	auths   []*wire.Auth
}

// start serves until the test ends. The name is that of the host.
func (c *cloud) start(t *testing.T, name string, conf *tls.Config) *ca {
	authority := newCA(t)
	certFile, keyFile := authority.issue(t, t.TempDir(), "server", name)
	if conf == nil {
		conf = &tls.Config{}
	}
	conf.Certificates = rotatedCertificate(t, certFile, keyFile)
	conf.ClientCAs = authority.pool
	c.t, c.tls, c.listener, c.conns = t, conf, pipe.Listen(1<<20), map[*cloudConn]bool{}
	if c.upgrade != nil {
		web := &http.Server{Handler: http.HandlerFunc(c.serveWeb)}
		go web.Serve(tls.NewListener(c.listener, conf))
		t.Cleanup(func() { web.Close() })
	} else {
		go func() {
			for {
				nc, err := c.listener.Accept()
				if err != nil {
					return
				}
				go c.serveTLS(nc)
			}
		}()
	}
	t.Cleanup(func() {
		c.listener.Close()
		c.hangUp()
		c.mu.Lock()
		defer c.mu.Unlock()
		require.Empty(t, c.faults)
	})
	return authority
}

// reach lets cfg find the server in memory, and trust it.
func (c *cloud) reach(cfg mqtt.Config, authority *ca) mqtt.Config {
	cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return c.listener.Dial(ctx) }
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{}
	}
	began := time.Now()
	cfg.TLS.RootCAs, cfg.TLS.Time = authority.pool, func() time.Time { return began } // the certificates last an hour
	return cfg
}

// hangUp ends all connections.
func (c *cloud) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.conns {
		k.Conn.Close()
	}
}

func (c *cloud) fault(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, err)
}

func (c *cloud) serveTLS(nc net.Conn) {
	defer nc.Close()
	secure := tls.Server(nc, c.tls)
	if secure.HandshakeContext(context.Background()) != nil {
		return // the client hears why
	}
	c.serve(&cloudConn{cloud: c, Conn: secure, state: secure.ConnectionState()})
}

func (c *cloud) serveWeb(w http.ResponseWriter, r *http.Request) {
	if err := c.upgrade(r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	c.serve(&cloudConn{cloud: c, Conn: websocket.NetConn(context.Background(), ws, websocket.MessageBinary)})
}

func (c *cloud) serve(k *cloudConn) {
	k.aliases = map[uint16]string{}
	c.mu.Lock()
	c.conns[k] = true
	c.mu.Unlock()
	defer func() {
		k.Conn.Close()
		c.mu.Lock()
		delete(c.conns, k)
		c.mu.Unlock()
	}()
	reader := wire.NewReader(k.Conn, wire.V5, 2<<20)
	decoder := wire.Decoder{Version: wire.V5, From: wire.FromClient}
	for {
		h, body, err := reader.ReadPacket()
		if err != nil {
			return
		}
		p, err := decoder.Decode(h, slices.Clone(body))
		if err != nil {
			c.fault(err)
			return
		}
		if !k.handle(p) {
			return
		}
	}
}

// handle answers p, and returns false at the end of the connection.
func (k *cloudConn) handle(p wire.Packet) bool {
	if p, ok := p.(*wire.Connect); ok {
		k.mu.Lock()
		k.connects = append(k.connects, p)
		k.mu.Unlock()
		ack := k.login(k, p)
		k.send(ack)
		return !ack.ReasonCode.Failed()
	}
	if err := k.rule(k, p); err != nil {
		k.fault(err)
		return false
	}
	switch p := p.(type) {
	case *wire.Subscribe:
		ack := &wire.Suback{PacketID: p.PacketID}
		for _, f := range p.Filters {
			ack.ReasonCodes = append(ack.ReasonCodes, wire.ReasonCode(f.QoS))
			k.filters = append(k.filters, f.Filter)
		}
		k.send(ack)
	case *wire.Unsubscribe:
		k.send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))})
	case *wire.Publish:
		k.mu.Lock()
		k.took++
		k.mu.Unlock()
		if p.QoS > 0 {
			k.send(&wire.Puback{PacketID: p.PacketID})
		}
		topic := k.topic(p)
		if slices.ContainsFunc(k.filters, func(f string) bool { return match.Match(f, topic) }) {
			k.send(&wire.Publish{Topic: topic, Payload: p.Payload})
		}
	case *wire.Pingreq:
		k.send((*wire.Pingresp)(nil))
	case *wire.Auth:
		k.auths = append(k.auths, p)
		k.send(&wire.Auth{AuthenticationMethod: p.AuthenticationMethod})
	case *wire.Disconnect:
		return false
	}
	return true
}

// topic is that of p, which may have only its alias.
func (k *cloudConn) topic(p *wire.Publish) string {
	if p.Properties == nil || p.Properties.TopicAlias == 0 {
		return p.Topic
	}
	if p.Topic != "" {
		k.aliases[p.Properties.TopicAlias] = p.Topic
	}
	return k.aliases[p.Properties.TopicAlias]
}

func (k *cloudConn) send(p wire.Packet) {
	b, err := p.Append(nil, wire.V5)
	if err != nil {
		k.fault(err)
	}
	k.Conn.Write(b) // a client that is gone gets nothing
}

// rate refuses more than n messages in any second.
func (k *cloudConn) rate(n int) error {
	now := time.Now()
	k.times = append(k.times, now)
	k.times = slices.DeleteFunc(k.times, func(at time.Time) bool { return now.Sub(at) >= time.Second })
	if len(k.times) > n {
		return fmt.Errorf("%d messages in a second, more than %d", len(k.times), n)
	}
	return nil
}
