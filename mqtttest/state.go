package mqtttest

import (
	"github.com/seed65a45251/mqtt/wire"
)

// state is what the packets say: which clients are connected and subscribed, and
// which exchanges are not finished. The recorder guards it.
type state struct {
	open     map[int]string // client identifiers by connection, empty before CONNECT
	sessions map[string]*clientState
	flights  map[flight]*Event // QoS 1 and 2 messages that may not have been received
}

// clientState is what is known of one client.
type clientState struct {
	conn          int  // 0: not connected
	clean         bool // CONNECT asked for a clean start
	durable       bool // the session outlives the connection
	subscriptions map[string]wire.QoS
	requests      map[uint16]wire.Packet // SUBSCRIBEs and UNSUBSCRIBEs without an answer
}

// flight identifies an exchange.
type flight struct {
	clientID  string
	direction Direction // of the message
	packetID  uint16
}

func (s *state) init() {
	s.open = make(map[int]string)
	s.sessions = make(map[string]*clientState)
	s.flights = make(map[flight]*Event)
}

func (s *state) client(id string) *clientState {
	c := s.sessions[id]
	if c == nil {
		c = &clientState{subscriptions: make(map[string]wire.QoS), requests: make(map[uint16]wire.Packet)}
		s.sessions[id] = c
	}
	return c
}

// sent applies a packet that a side has sent, whether it arrives or not.
func (s *state) sent(e *Event) {
	if e.Packet == nil {
		return
	}
	switch p := e.Packet.(type) {
	case *wire.Connect:
		c := s.client(e.ClientID)
		c.clean = p.CleanStart
		c.durable = p.SessionExpiryInterval > 0
		if e.Version < wire.V5 {
			c.durable = !p.CleanStart
		}
	case *wire.Publish:
		if p.QoS > wire.AtMostOnce {
			s.flights[flight{e.ClientID, e.Direction, p.PacketID}] = e
		}
	case *wire.Subscribe:
		s.client(e.ClientID).requests[p.PacketID] = p
	case *wire.Unsubscribe:
		s.client(e.ClientID).requests[p.PacketID] = p
	case *wire.Disconnect:
		if p.SessionExpiryInterval != nil {
			s.client(e.ClientID).durable = *p.SessionExpiryInterval > 0
		}
	}
}

// passed applies a packet that has been passed on.
func (s *state) passed(e *Event) {
	switch p := e.Packet.(type) {
	case *wire.Connack:
		if !p.ReasonCode.Failed() {
			s.accepted(e, p)
		}
	case *wire.Puback:
		s.landed(e, p.PacketID)
	case *wire.Pubrec:
		s.landed(e, p.PacketID) // from here on the receiver has it, or has refused it
	case *wire.Suback:
		s.subscribed(s.client(e.ClientID), p)
	case *wire.Unsuback:
		s.unsubscribed(s.client(e.ClientID), p)
	}
}

func (s *state) accepted(e *Event, p *wire.Connack) {
	s.open[e.Conn] = e.ClientID
	c := s.client(e.ClientID)
	c.conn = e.Conn
	if p.AssignedClientID != "" {
		unnamed := s.client("")
		c.clean, c.durable = unnamed.clean, unnamed.durable
	}
	// CONNACK of 3.1 does not say whether there was a session.
	if p.SessionPresent || e.Version == wire.V31 && !c.clean {
		return
	}
	clear(c.subscriptions)
	clear(c.requests)
	for f := range s.flights {
		if f.clientID == e.ClientID {
			delete(s.flights, f)
		}
	}
}

// landed notes that the sender of a message knows that it was received.
func (s *state) landed(e *Event, packetID uint16) {
	d := Up
	if e.Direction == Up {
		d = Down
	}
	delete(s.flights, flight{e.ClientID, d, packetID})
}

func (s *state) subscribed(c *clientState, p *wire.Suback) {
	asked, ok := c.requests[p.PacketID].(*wire.Subscribe)
	if !ok {
		return
	}
	delete(c.requests, p.PacketID)
	for i, code := range p.ReasonCodes {
		if i < len(asked.Filters) && !code.Failed() {
			c.subscriptions[asked.Filters[i].Filter] = wire.QoS(code)
		}
	}
}

func (s *state) unsubscribed(c *clientState, p *wire.Unsuback) {
	asked, ok := c.requests[p.PacketID].(*wire.Unsubscribe)
	if !ok {
		return
	}
	delete(c.requests, p.PacketID)
	for i, filter := range asked.Filters {
		if i >= len(p.ReasonCodes) || !p.ReasonCodes[i].Failed() {
			delete(c.subscriptions, filter)
		}
	}
}

// gone is called when both sides of a connection have ended.
func (s *state) gone(conn int) {
	c := s.sessions[s.open[conn]]
	delete(s.open, conn)
	if c == nil || c.conn != conn {
		return
	}
	c.conn = 0
	if !c.durable {
		clear(c.subscriptions)
	}
}
