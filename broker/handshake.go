package broker

import (
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/internal/line"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// connectMaximum bounds the CONNECT packet, which comes from somebody unknown.
// The longest fields, five of 64 KiB, fit.
const connectMaximum = 384 << 10

// handshake takes CONNECT and answers it. After an error nothing that followed
// CONNECT is looked at [MQTT-3.1.4-6].
func (c *conn) handshake() (resumed bool, err error) {
	began := time.Now()
	if err := c.boundHandshake(); err != nil {
		return false, err
	}
	connect, err := c.readConnect()
	if err != nil {
		return false, c.refuse(err)
	}
	// Who had a slow line has no less time for the rest.
	moved, _ := c.line.Moved()
	deadline := began.Add(c.b.cfg.ConnectTimeout + line.Earned(moved))
	c.greet(connect)
	if !c.b.doors.speak(c) {
		return false, c.refuse(tooManyConnections)
	}
	if err := c.judge(connect); err != nil {
		return false, c.refuse(err)
	}
	data, err := c.authenticate(connect, deadline)
	if err != nil {
		return false, c.refuse(err)
	}
	// From here on others may set a deadline to write.
	if err := c.net.SetWriteDeadline(time.Time{}); err != nil {
		return false, err
	}
	c.b.catchUp(connect.ClientID)
	if !c.b.doors.enter(c, c.tenant(), c.b.isConnected(connect.ClientID)) {
		return false, c.refuse(tooManyConnections)
	}
	resumed, err = c.b.enter(c, connect, data, deadline)
	if err != nil {
		return false, c.refuse(err)
	}
	c.b.doors.settled(c)
	c.intake.enter()
	c.reader.SetMaxPacketSize(c.b.cfg.MaximumPacketSize)
	return resumed, nil
}

// tooManyConnections is what a client is told for which there is no room.
var tooManyConnections = &refusal{code: wire.ServerBusy, text: "too many connections"}

// boundHandshake bounds the time until the client is let in. A slow line gets more of
// it than one on which little moves.
func (c *conn) boundHandshake() error {
	// For writing, too, which TLS does in its own handshake.
	c.line.SetWriteLimit(c.b.cfg.WriteTimeout)
	if err := c.line.SetReadLimit(c.b.cfg.ConnectTimeout); err != nil {
		return err
	}
	return c.line.Handshake(c.b.cfg.ConnectTimeout)
}

func (c *conn) readConnect() (_ *wire.Connect, err error) {
	defer c.contain(&err)
	c.intake.conn = c
	c.reader = wire.NewReader(&c.intake, 0, min(connectMaximum, c.b.cfg.MaximumPacketSize))
	h, body, err := c.reader.ReadPacket()
	if err != nil {
		return nil, err
	}
	// [MQTT-3.1.0-1] the decoder knows nothing but CONNECT yet.
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

// greet takes over what CONNECT says about the client.
func (c *conn) greet(p *wire.Connect) {
	c.bridge = p.Bridge
	c.terse = p.Version < wire.V5 || p.RequestProblemInformation != nil && !*p.RequestProblemInformation
	c.limits = session.ConnectLimits(p)
	c.peer = c.newPeer(p)
	c.reader.SetVersion(c.version)
}

// judge checks what the packet asks for.
func (c *conn) judge(p *wire.Connect) error {
	cfg := &c.b.cfg
	switch {
	case !slices.Contains(cfg.Versions, p.Version):
		return &refusal{code: wire.UnsupportedProtocolVersion, text: "version is switched off"}
	case p.AuthenticationMethod == "" && c.b.doors.hopeless(c.tenant()) && !c.b.isConnected(p.ClientID):
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

// refuse answers CONNECT with the reason in err, if the version has a CONNACK for
// it, and returns err. The connection counts no more. [MQTT-3.2.2-6], [MQTT-3.2.2-7] without session; run closes.
func (c *conn) refuse(err error) error {
	c.b.doors.leave(c)
	code, ok := errors.AsType[wire.ReasonCode](err)
	if !ok || c.version == 0 {
		return err
	}
	ack := &wire.Connack{ReasonCode: code}
	if no, ok := errors.AsType[*refusal](err); ok && c.version == wire.V5 {
		c.explainRefusal(ack, no)
	} else if ok && no.server != "" {
		ack.ReasonCode = wire.NotAuthorized
	}
	// [MQTT-3.1.4-1] faults end a 3.1.1 connection without CONNACK, which is also
	// what a code without counterpart in that version does [MQTT-3.2.2-8].
	b, unknown := ack.Append(nil, c.version)
	if unknown != nil || !c.fits(ack) {
		return err
	}
	c.linger(b)
	return err
}

// linger sends the last bytes and gives the peer the time to read them. It holds
// nothing meanwhile but the connection.
func (c *conn) linger(b []byte) {
	c.reader = nil
	c.intake.end()
	if !c.writeLast(b) {
		return
	}
	defer c.b.counts.lingering.Add(-1)
	if c.b.counts.lingering.Add(1) <= lingerMaximum && c.net.SetReadDeadline(time.Now().Add(lingerTimeout)) == nil {
		c.discard()
	}
}

// explainRefusal adds what the client wants to know and what fits.
// [MQTT-3.2.2-19]
func (c *conn) explainRefusal(ack *wire.Connack, no *refusal) {
	if ack.ServerReference = no.server; !c.fits(ack) {
		ack.ServerReference = ""
	}
	if c.terse {
		return
	}
	if ack.ReasonString = no.text; !c.fits(ack) {
		ack.ReasonString = ""
	}
}

// fits reports whether the client takes a packet of the size of ack. [MQTT-3.1.2-24]
func (c *conn) fits(ack *wire.Connack) bool {
	b, err := ack.Append(nil, c.version)
	limit := c.limits.MaximumPacketSize
	return err == nil && (limit == 0 || len(b) <= int(limit))
}

// assignedID makes a client identifier for a client that has none.
// [MQTT-3.1.3-6], [MQTT-3.2.2-16] nobody else has it.
func assignedID() string { return "auto-" + rand.Text() }

// accept builds the CONNACK for p and sets what of it the connection keeps.
func (c *conn) accept(p *wire.Connect, assigned bool, present bool, expiry uint32, data []byte) *wire.Connack {
	cfg := &c.b.cfg
	seconds, tell := cfg.keepAlive(p.KeepAlive, c.version)
	c.keepAlive = time.Duration(seconds) * time.Second * 3 / 2
	ack := &wire.Connack{SessionPresent: present}
	if c.version < wire.V5 {
		return ack
	}
	if tell {
		ack.ServerKeepAlive = &seconds
	}
	if assigned {
		// [MQTT-3.1.3-7]
		ack.AssignedClientID = c.peer.ClientID
	}
	// [MQTT-4.12.0-5], [MQTT-4.12.0-6] the method that CONNECT named, if any.
	if c.enhanced.by != nil {
		ack.AuthenticationMethod, ack.AuthenticationData = c.enhanced.method, data
	}
	if p.RequestResponseInformation {
		// [MQTT-3.1.2-28]
		ack.ResponseInformation = cfg.responseInformation(c.peer)
	}
	if expiry != p.SessionExpiryInterval {
		ack.SessionExpiryInterval = &expiry
	}
	if *cfg.MaximumQoS < wire.ExactlyOnce {
		// [MQTT-3.2.2-9]
		ack.MaximumQoS = cfg.MaximumQoS
	}
	ack.ReceiveMaximum = cfg.ReceiveMaximum
	ack.MaximumPacketSize = uint32(cfg.MaximumPacketSize)
	ack.TopicAliasMaximum = uint16(cfg.TopicAliasMaximum)
	ack.RetainAvailable = unavailable(cfg.NoRetained)
	ack.WildcardSubscriptionAvailable = unavailable(cfg.NoWildcards)
	ack.SharedSubscriptionAvailable = unavailable(cfg.NoShared)
	ack.SubscriptionIDAvailable = unavailable(cfg.NoSubscriptionIDs)
	return ack
}

// unavailable leaves out what is available, as that is the default.
func unavailable(no bool) *bool {
	if !no {
		return nil
	}
	return new(false)
}

// announced returns what CONNACK says to clients of 5.0 and the others have to find out.
func (cfg *Config) announced() session.Limits {
	return session.Limits{
		MaximumQoS:        *cfg.MaximumQoS,
		NoRetain:          cfg.NoRetained,
		NoWildcards:       cfg.NoWildcards,
		NoShared:          cfg.NoShared,
		NoSubscriptionIDs: cfg.NoSubscriptionIDs,
	}
}
