package broker

import (
	"bytes"
	"context"
	"crypto/tls"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// authenticate decides about a CONNECT. It returns the data for the CONNACK of an
// enhanced authentication.
func (c *conn) authenticate(p *wire.Connect, deadline time.Time) ([]byte, error) {
	l := &Login{Peer: *c.peer, Password: p.Password, AuthenticationMethod: p.AuthenticationMethod, Request: c.request}
	ctx, cancel := context.WithDeadline(c.hub.ctx, deadline)
	defer cancel()
	var data []byte
	var d Decision
	if p.AuthenticationMethod != "" {
		own(p)
		l.Password = p.Password
		var err error
		if data, d, err = c.exchange(ctx, l, p.AuthenticationData); err != nil {
			return nil, err
		}
	} else {
		d = c.hub.hooks.login(ctx, l)
		if no := d.refusal(connectReasons...); no != nil {
			return nil, no
		}
	}
	c.peer.Username, c.peer.principal = l.Username, c.hub.cfg.principalOf(d, l.Username)
	return data, nil
}

// own gives p memory of its own, independent of the read buffer.
func own(p *wire.Connect) {
	p.Password = bytes.Clone(p.Password)
	p.AuthenticationData = bytes.Clone(p.AuthenticationData)
	if p.Will != nil {
		p.Will.Payload = bytes.Clone(p.Will.Payload)
		p.Will.CorrelationData = bytes.Clone(p.Will.CorrelationData)
	}
}

// newPeer describes the client of a CONNECT.
func (c *conn) newPeer(p *wire.Connect) *Peer {
	peer := &Peer{ClientID: p.ClientID, Version: p.Version, RemoteAddr: c.net.RemoteAddr()}
	if p.Username != nil {
		peer.Username = *p.Username
	}
	switch secured, ok := c.given.(interface{ ConnectionState() tls.ConnectionState }); {
	case ok:
		peer.TLS = new(secured.ConnectionState())
	case c.request != nil:
		peer.TLS = c.request.TLS
	}
	return peer
}
