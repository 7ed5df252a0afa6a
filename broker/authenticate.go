package broker

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// authenticate decides about a CONNECT. It returns the data that goes with the
// CONNACK of an enhanced authentication.
func (c *conn) authenticate(p *wire.Connect, deadline time.Time) ([]byte, error) {
	l := &Login{Peer: *c.peer, Password: p.Password, AuthenticationMethod: p.AuthenticationMethod, Request: c.request}
	ctx, cancel := context.WithDeadline(c.b.ctx, deadline)
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
		d = c.b.hooks.login(ctx, l)
		if no := d.refusal(connectReasons...); no != nil {
			return nil, no
		}
	}
	c.peer.Username, c.peer.principal = l.Username, c.b.principalOf(d, l.Username)
	return data, nil
}

// connectReasons are those of CONNACK with which a hook may refuse.
var connectReasons = []wire.ReasonCode{
	wire.UnspecifiedError, wire.ImplementationSpecificError, wire.ClientIdentifierNotValid, wire.BadUserNameOrPassword,
	wire.ServerUnavailable, wire.ServerBusy, wire.Banned, wire.BadAuthenticationMethod, wire.TopicNameInvalid,
	wire.PacketTooLarge, wire.QuotaExceeded, wire.PayloadFormatInvalid, wire.RetainNotSupported, wire.QoSNotSupported,
	wire.UseAnotherServer, wire.ServerMoved, wire.ConnectionRateExceeded,
}

// login asks the authenticators in order.
func (h *hooks) login(ctx context.Context, l *Login) Decision {
	if h.cfg.open() {
		return Allow()
	}
	for _, hook := range h.cfg.Authenticators {
		if d := h.askAuthenticator(ctx, hook, l); d.verdict != undecided {
			return d
		}
	}
	return Pass()
}

// own makes p independent of the buffer that it was read into.
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

// responseInformation returns what the client is told, or nothing.
func (cfg *Config) responseInformation(peer *Peer) string {
	info := cfg.ResponseInformation
	for mark, own := range map[string]string{"%c": peer.ClientID, "%u": peer.Username} {
		if !strings.Contains(info, mark) {
			continue
		}
		if own == "" || strings.ContainsAny(own, "+#/%") {
			return ""
		}
		info = strings.ReplaceAll(info, mark, own)
	}
	return info
}

// isLocal reports whether only programs of this machine can reach addr.
func isLocal(addr net.Addr) bool {
	switch addr := addr.(type) {
	case nil:
		return false
	case *net.TCPAddr:
		return addr.IP.IsLoopback()
	}
	switch addr.Network() {
	case "unix", "memory", "pipe":
		return true
	}
	return false
}
