package session

import (
	"errors"

	"github.com/seed65a45251/mqtt/wire"
)

// overlook passes over the fault err, if tolerate says so, and reports whether it did.
func overlook(tolerate func(*wire.Error), err error) bool {
	fault, ok := errors.AsType[*wire.Error](err)
	if !ok || tolerate == nil {
		return false
	}
	tolerate(fault)
	return true
}

// secondConnack takes a CONNACK on an established connection. [MQTT-3.2.0-2] There is
// one only. But servers before 5.0 have no DISCONNECT, and some say with a second
// CONNACK why they end the connection.
func (c *Client) secondConnack(h wire.Header, body []byte) error {
	if c.settings.Tolerate != nil {
		if p, err := c.decodeConnack(h, body); err == nil && p.ReasonCode.Failed() {
			return connackError(p)
		}
	}
	return protocolError(h.Type, wire.ProtocolError, "second CONNACK")
}
