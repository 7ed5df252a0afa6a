package broker

import (
	"errors"

	"github.com/seed65a45251/mqtt/wire"
)

// refuse answers CONNECT with the reason in err, if the version has a CONNACK for it,
// and returns err. The connection no longer counts against any limit. [MQTT-3.2.2-6],
// [MQTT-3.2.2-7] the CONNACK says that there is no session; run closes the
// connection.
func (c *conn) refuse(err error) error {
	c.hub.doors.leave(&c.standing)
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
	// [MQTT-3.1.4-1] a fault ends a 3.1.1 connection without CONNACK. So does a code
	// that has no counterpart in that version [MQTT-3.2.2-8].
	b, unknown := ack.Append(nil, c.version)
	if unknown != nil || !c.fits(ack) {
		return err
	}
	c.lingerOn(c.net, b)
	return err
}

// explainRefusal adds the reason string and the server reference, if the client wants
// them and they fit. [MQTT-3.2.2-19]
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

// tooManyConnections refuses a client for which there is no space.
var tooManyConnections = &refusal{code: wire.ServerBusy, text: "too many connections"}
