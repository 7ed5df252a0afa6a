package main

import (
	"fmt"
	"net"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/wire"
)

// peer is the smallest client that a broker can work with: a connection.
type peer struct {
	net.Conn
	reader *wire.Reader
}

// enter connects nc as a client whose session stays for expiry seconds.
func enter(nc net.Conn, id string, expiry uint32, clean bool) (*peer, error) {
	p := &peer{Conn: nc}
	err := p.send(&wire.Connect{CleanStart: clean, ClientID: id, SessionExpiryInterval: expiry})
	if err != nil {
		return nil, err
	}
	return p, p.want(wire.TypeConnack)
}

// dial connects to b in memory.
func dial(b *broker.Broker, id string, expiry uint32, clean bool) (*peer, error) {
	nc, err := b.Dial(background)
	if err != nil {
		return nil, err
	}
	return enter(nc, id, expiry, clean)
}

func (p *peer) send(packets ...wire.Packet) error {
	var out []byte
	var err error
	for _, packet := range packets {
		if out, err = packet.Append(out, wire.V5); err != nil {
			return err
		}
	}
	_, err = p.Write(out)
	return err
}

// want takes the next packet, which has to be of this type.
func (p *peer) want(t wire.PacketType) error {
	_, err := p.take(t)
	return err
}

func (p *peer) take(t wire.PacketType) (wire.Packet, error) {
	if p.reader == nil {
		p.reader = wire.NewReader(p.Conn, wire.V5, 0)
	}
	h, body, err := p.reader.ReadPacket()
	if err != nil {
		return nil, err
	}
	if h.Type != t {
		return nil, fmt.Errorf("%v came instead of %v", h.Type, t)
	}
	d := wire.Decoder{Version: wire.V5}
	return d.Decode(h, body)
}

// idle gives back what reading needs while nothing comes.
func (p *peer) idle() { p.reader = nil }

// leave ends the connection in order and waits until the broker has closed it.
func (p *peer) leave() error {
	if err := p.send(&wire.Disconnect{}); err != nil {
		return err
	}
	var b [1]byte
	_, _ = p.Read(b[:])
	return p.Close()
}

// subscribe subscribes to filters in packets of at most 1,000.
func (p *peer) subscribe(n int, filter func(i int) string, qos wire.QoS) error {
	return parts(n, func(from, to int) error {
		s := &wire.Subscribe{PacketID: 1}
		for i := from; i < to; i++ {
			s.Filters = append(s.Filters, wire.SubscribeFilter{Filter: filter(i), QoS: qos})
		}
		if err := p.send(s); err != nil {
			return err
		}
		a, err := p.take(wire.TypeSuback)
		if err != nil {
			return err
		}
		for _, code := range a.(*wire.Suback).ReasonCodes {
			if code.Failed() {
				return code
			}
		}
		return nil
	})
}

func (p *peer) unsubscribe(n int, filter func(i int) string) error {
	return parts(n, func(from, to int) error {
		u := &wire.Unsubscribe{PacketID: 1}
		for i := from; i < to; i++ {
			u.Filters = append(u.Filters, filter(i))
		}
		if err := p.send(u); err != nil {
			return err
		}
		return p.want(wire.TypeUnsuback)
	})
}

// publish publishes n messages at QoS 1, of which at most 100 are under way.
func (p *peer) publish(n int, topic func(i int) string, payload []byte, retain bool) error {
	const most = 100
	for from := 0; from < n; from += most {
		var packets []wire.Packet
		for i := from; i < min(n, from+most); i++ {
			packets = append(packets, &wire.Publish{Topic: topic(i), Payload: payload, QoS: 1, PacketID: uint16(i-from) + 1, Retain: retain})
		}
		if err := p.send(packets...); err != nil {
			return err
		}
		for range packets {
			a, err := p.take(wire.TypePuback)
			if err != nil {
				return err
			}
			if code := a.(*wire.Puback).ReasonCode; code.Failed() {
				return code
			}
		}
	}
	return nil
}

// receive takes n messages and acknowledges those at QoS 1.
func (p *peer) receive(n int) error {
	for range n {
		m, err := p.take(wire.TypePublish)
		if err != nil {
			return err
		}
		if m := m.(*wire.Publish); m.QoS > 0 {
			if err := p.send(&wire.Puback{PacketID: m.PacketID}); err != nil {
				return err
			}
		}
	}
	return nil
}

func parts(n int, f func(from, to int) error) error {
	for from := 0; from < n; from += 1000 {
		if err := f(from, min(n, from+1000)); err != nil {
			return err
		}
	}
	return nil
}
