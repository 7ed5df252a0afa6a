package broker

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/internal/line"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// connectMaximum bounds the CONNECT packet, which comes from an unknown client. Five
// fields of the longest length, 64 KiB, fit.
const connectMaximum = 384 << 10

// handshake reads CONNECT and answers it. After an error nothing that followed
// CONNECT is handled [MQTT-3.1.4-6].
func (c *conn) handshake() (resumed bool, err error) {
	began := time.Now()
	if err := c.boundHandshake(); err != nil {
		return false, err
	}
	var begun opening
	connect, err := c.readConnect(&begun)
	if err != nil && c.version == 0 {
		c.hub.doors.leave(&c.standing)
		return false, c.explainStranger(&begun, err)
	}
	if err != nil {
		return false, c.refuse(err)
	}
	// The time that a slow line needed does not shorten the remaining time.
	moved, _ := c.line.Moved()
	deadline := began.Add(c.hub.cfg.ConnectTimeout + line.Earned(moved))
	c.readHello(connect)
	if !c.hub.doors.sentConnect(&c.standing) {
		return false, c.refuse(tooManyConnections)
	}
	if err := c.checkConnect(connect); err != nil {
		return false, c.refuse(err)
	}
	data, err := c.authenticate(connect, deadline)
	if err != nil {
		return false, c.refuse(err)
	}
	// From here on other goroutines may set a write deadline.
	if err := c.net.SetWriteDeadline(time.Time{}); err != nil {
		return false, err
	}
	c.hub.catchUp(connect.ClientID)
	if !c.hub.doors.enter(c, &c.standing, c.tenant(), c.hub.isConnected(connect.ClientID)) {
		return false, c.refuse(tooManyConnections)
	}
	resumed, err = c.hub.enter(c, connect, data, deadline)
	if err != nil {
		return false, c.refuse(err)
	}
	c.hub.doors.answered(&c.standing)
	c.intake.enter()
	c.reader.SetMaxPacketSize(c.hub.cfg.MaximumPacketSize)
	return resumed, nil
}

// boundHandshake bounds the time until the client is let in. Bytes that arrive extend
// it, so a slow line gets more time than a silent one.
func (c *conn) boundHandshake() error {
	// The TLS handshake writes, too.
	c.line.SetWriteLimit(c.hub.cfg.WriteTimeout)
	if err := c.line.SetReadLimit(c.hub.cfg.ConnectTimeout); err != nil {
		return err
	}
	return c.line.Handshake(c.hub.cfg.ConnectTimeout)
}

func (c *conn) readConnect(begun *opening) (_ *wire.Connect, err error) {
	defer c.recoverTLS(&err)
	c.intake.from = c
	c.reader = wire.NewReader(&c.intake, 0, min(connectMaximum, c.hub.cfg.MaximumPacketSize))
	err = c.reader.Fill()
	begun.note(c.reader.Buffered())
	if err != nil {
		return nil, err
	}
	h, body, _, err := c.reader.Next()
	if err != nil {
		return nil, err
	}
	// [MQTT-3.1.0-1] the decoder accepts nothing but CONNECT yet.
	p, err := c.decoder.Decode(h, body)
	c.version = c.decoder.Version
	if err != nil {
		if errors.Is(err, wire.UnsupportedProtocolVersion) {
			c.version = session.RefusalVersion(body)
		}
		return nil, err
	}
	return p.(*wire.Connect), nil
}

// readHello notes what CONNECT says about the client.
func (c *conn) readHello(p *wire.Connect) {
	c.bridge = p.Bridge
	c.terse = p.Version < wire.V5 || p.RequestProblemInformation != nil && !*p.RequestProblemInformation
	c.limits = session.ConnectLimits(p)
	c.peer = c.newPeer(p)
	c.reader.SetVersion(c.version)
}

// checkConnect checks what the packet asks for.
func (c *conn) checkConnect(p *wire.Connect) error {
	cfg := &c.hub.cfg
	switch {
	case !slices.Contains(cfg.Versions, p.Version):
		return &refusal{code: wire.UnsupportedProtocolVersion, text: "version is switched off"}
	case p.AuthenticationMethod == "" && c.hub.doors.isFull(c.tenant()) && !c.hub.isConnected(p.ClientID):
		return tooManyConnections
	}
	if no, ok := errors.AsType[*wire.Error](session.RefuseWill(p.Will, cfg.announced())); ok {
		return &refusal{code: no.Reason, text: no.Detail}
	}
	if p.Will != nil && cfg.tooDeep(p.Will.Topic) {
		return &refusal{code: wire.TopicNameInvalid, text: "topic of the will has too many levels"}
	}

	return c.chooseMethod(p.AuthenticationMethod)
}

// recoverTLS turns a panic in a function of [Config.TLS], which runs at the first read,
// into an error. It is deferred.
func (c *conn) recoverTLS(err *error) {
	if v := recover(); v != nil {
		c.hub.hooks.logPanic(c.hub.cfg.TLS, nil, v)
		*err = fmt.Errorf("TLS: panic: %v", v)
	}
}
