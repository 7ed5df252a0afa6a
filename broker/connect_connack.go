package broker

import (
	"crypto/rand"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// connack builds the CONNACK for p and sets what of it the connection keeps.
func (c *conn) connack(p *wire.Connect, assigned bool, present bool, expiry uint32, data []byte) *wire.Connack {
	cfg := &c.hub.cfg
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

// fits reports whether the client takes a packet of the size of ack. [MQTT-3.1.2-24]
func (c *conn) fits(ack *wire.Connack) bool {
	b, err := ack.Append(nil, c.version)
	limit := c.limits.MaximumPacketSize
	return err == nil && (limit == 0 || len(b) <= int(limit))
}

// unavailable returns the value of a property that is left out when the feature is
// available, which is the default.
func unavailable(no bool) *bool {
	if !no {
		return nil
	}
	return new(false)
}

// assignedID makes a client identifier for a client that has none.
// [MQTT-3.1.3-6], [MQTT-3.2.2-16] no other client has it.
func assignedID() string { return "auto-" + rand.Text() }

// announced returns the limits that CONNACK tells 5.0 clients. Clients of other versions
// are held to them without being told.
func (cfg *Config) announced() session.Limits {
	return session.Limits{
		MaximumQoS:        *cfg.MaximumQoS,
		NoRetain:          cfg.NoRetained,
		NoWildcards:       cfg.NoWildcards,
		NoShared:          cfg.NoShared,
		NoSubscriptionIDs: cfg.NoSubscriptionIDs,
	}
}
