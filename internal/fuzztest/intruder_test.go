package fuzztest

import (
	"net"
	"strings"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// intruder is a connection of a client that follows a script, to a broker that is judged.
type intruder struct {
	failf func(format string, args ...any)
	net   net.Conn
	wake  chan struct{}

	mu      sync.Mutex // guards what follows; never held while it waits
	polite  bool       // it acknowledges messages
	deaf    bool
	heard   chan struct{} // closed when it is not deaf any more
	queue   []byte
	over    bool
	fromUs  Frames
	in      Frames
	version wire.Version  // 0: CONNECT has not been sent yet
	connect *wire.Connect // nil: it was none, or none that can be decoded
	decoder wire.Decoder
	greeted bool // with CONNACK
	last    bool // DISCONNECT has come
	auths   int
	exchanges
}

func newIntruder(nc net.Conn, failf func(string, ...any)) *intruder {
	i := &intruder{failf: failf, net: nc, wake: make(chan struct{}, 1), heard: make(chan struct{}), polite: true}
	i.begin(failf, "the broker")
	go i.read()
	go i.write()
	return i
}

// send sends a packet, if it can be encoded.
func (i *intruder) send(p wire.Packet) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sendLocked(p)
}

func (i *intruder) sendLocked(p wire.Packet) {
	v := i.version
	if c, ok := p.(*wire.Connect); ok {
		v = c.Version
	}
	if b, err := p.Append(nil, v); err == nil && v != 0 {
		i.bytesLocked(b)
	}
}

// bytes sends any bytes.
func (i *intruder) bytes(b []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.bytesLocked(b)
}

func (i *intruder) bytesLocked(b []byte) {
	if i.over {
		return
	}
	i.queue = append(i.queue, b...)
	for _, f := range i.fromUs.Add(b, i.version) {
		if i.version == 0 {
			i.introduce(f)
		}
		i.sent(f)
		if f.Type == wire.TypeAuth {
			i.auths++
		}
	}
	i.signal()
}

// introduce notes what the first frame says.
func (i *intruder) introduce(f Frame) {
	i.version = wire.V5
	d := wire.Decoder{From: wire.FromClient}
	if p, err := d.Decode(f.Header, append([]byte(nil), f.Body...)); err == nil {
		if connect, ok := p.(*wire.Connect); ok {
			i.connect, i.version = connect, connect.Version
		}
	}
	i.decoder.Version = i.version
}

func (i *intruder) signal() {
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

func (i *intruder) write() {
	for range i.wake {
		i.mu.Lock()
		b, over := i.queue, i.over
		i.queue = nil
		i.mu.Unlock()
		if over {
			return
		}
		if _, err := i.net.Write(b); err != nil {
			i.end()
			return
		}
	}
}

// end closes the connection.
func (i *intruder) end() {
	i.hear(false)
	i.mu.Lock()
	i.over = true
	i.mu.Unlock()
	i.net.Close()
	i.signal()
}

// hear makes it deaf, or hear again.
func (i *intruder) hear(deaf bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.deaf && !deaf {
		close(i.heard)
		i.heard = make(chan struct{})
	}
	i.deaf, i.late = deaf, i.late || deaf
}

func (i *intruder) read() {
	b := make([]byte, 4096)
	for {
		i.mu.Lock()
		deaf, heard := i.deaf, i.heard
		i.mu.Unlock()
		if deaf {
			<-heard
			continue
		}
		n, err := i.net.Read(b)
		i.take(b[:n])
		if err != nil {
			i.end()
			return
		}
	}
}

// take judges bytes of the broker.
func (i *intruder) take(b []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, f := range i.in.Add(b, i.decoder.Version) {
		i.got(f)
	}
	if i.in.Broken {
		i.failf("the broker sent what is no packet")
	}
}

// got judges a packet of the broker, and answers it.
func (i *intruder) got(f Frame) {
	if i.last {
		i.failf("the broker sent %v after DISCONNECT", f.Type)
	}
	i.received(f)
	switch {
	case f.Type == wire.TypeConnack && i.greeted:
		i.failf("the broker sent a second CONNACK")
	case f.Type == wire.TypeConnack:
		i.greeted = true
	case !i.greeted && f.Type != wire.TypeAuth && f.Type != wire.TypeDisconnect:
		i.failf("the broker sent %v before CONNACK", f.Type)
	}
	i.last = f.Type == wire.TypeDisconnect
	if i.connect == nil {
		return // the answer to what is no CONNECT has no version
	}
	packet, err := i.decoder.Decode(f.Header, append([]byte(nil), f.Body...))
	if err != nil {
		i.failf("the broker sent a %v that cannot be decoded: %v: %x", f.Type, err, f.Body)
		return
	}
	if most := i.connect.MaximumPacketSize; most > 0 && f.Size > int(most) {
		i.failf("the broker sent %d bytes of %v, the client takes %d", f.Size, f.Type, most)
	}
	switch p := packet.(type) {
	case *wire.Publish:
		i.publish(p)
	case *wire.Pubrec:
		if i.polite && !p.ReasonCode.Failed() {
			i.sendLocked(&wire.Pubrel{PacketID: p.PacketID})
		}
	case *wire.Pubrel:
		if i.polite {
			i.sendLocked(&wire.Pubcomp{PacketID: p.PacketID})
		}
	case *wire.Auth:
		if i.auths--; i.connect.AuthenticationMethod != p.AuthenticationMethod || i.auths < -1 { // CONNECT asks as well
			i.failf("the broker sent AUTH of %q, the client asked for %q", p.AuthenticationMethod, i.connect.AuthenticationMethod)
		}
	}
}

// publish judges a message of the broker.
func (i *intruder) publish(p *wire.Publish) {
	topic := i.alias(p, int(i.connect.TopicAliasMaximum))
	if strings.HasPrefix(topic, "secret/") || strings.HasPrefix(topic, "honest/") {
		i.failf("the broker sent %q to a client that may not have it", topic)
	}
	i.quota(int(i.connect.ReceiveMaximum))
	switch {
	case !i.polite:
	case p.QoS == wire.AtLeastOnce:
		i.sendLocked(&wire.Puback{PacketID: p.PacketID})
	case p.QoS == wire.ExactlyOnce:
		i.sendLocked(&wire.Pubrec{PacketID: p.PacketID})
	}
}

// half ends the direction to the broker.
func (i *intruder) half() {
	if closer, ok := i.net.(interface{ CloseWrite() error }); ok && closer.CloseWrite() == nil {
		return
	}
	i.end()
}

// patience is how long what an honest client asks for may take. Only fake time passes.
const patience = time.Minute
