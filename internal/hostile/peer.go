package hostile

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Peer is one end of a connection. It follows only the rules of its caller. It is for
// one goroutine at a time, except that one may write while another reads.
type Peer struct {
	net.Conn
	Version wire.Version

	reader  *wire.Reader
	decoder wire.Decoder
}

// NewPeer returns a peer on nc. from is the side whose packets the peer reads.
func NewPeer(nc net.Conn, v wire.Version, from wire.Sender) *Peer {
	return &Peer{
		Conn: nc, Version: v,
		reader:  wire.NewReader(nc, v, wire.MaxRemainingLength+5),
		decoder: wire.Decoder{Version: v, From: from},
	}
}

// Dial connects to the server at address from the local IP address. On Linux any
// address of 127.0.0.0/8 will do, so a test can have many. Empty means the usual one.
func Dial(ctx context.Context, address, local string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	return d.DialContext(ctx, "tcp", address)
}

// Send writes all packets in one piece.
func (p *Peer) Send(packets ...wire.Packet) error {
	var b []byte
	for _, packet := range packets {
		var err error
		if b, err = packet.Append(b, p.Version); err != nil {
			return err
		}
	}
	_, err := p.Write(b)
	return err
}

// Receive returns the next packet. It is valid until the next call.
func (p *Peer) Receive() (wire.Packet, error) {
	h, body, err := p.reader.ReadPacket()
	if err != nil {
		return nil, err
	}
	packet, err := p.decoder.Decode(h, body)
	if p.Version == 0 {
		p.Version = p.decoder.Version
		p.reader.SetVersion(p.Version)
	}
	return packet, err
}

// Await returns the next packet of type P and skips others.
func Await[P wire.Packet](p *Peer) (P, error) {
	for {
		packet, err := p.Receive()
		if err != nil {
			return *new(P), err
		}
		if wanted, ok := packet.(P); ok {
			return wanted, nil
		}
	}
}

// Join sends CONNECT and waits for CONNACK. A refusal is an error.
func (p *Peer) Join(connect *wire.Connect) (*wire.Connack, error) {
	if err := p.Send(connect); err != nil {
		return nil, err
	}
	ack, err := Await[*wire.Connack](p)
	if err == nil && ack.ReasonCode.Failed() {
		err = ack.ReasonCode
	}
	return ack, err
}

// Sync returns when the other side has handled everything sent before: it answers a
// PINGREQ in order.
func (p *Peer) Sync() error {
	if err := p.Send(&wire.Pingreq{}); err != nil {
		return err
	}
	_, err := Await[*wire.Pingresp](p)
	return err
}

// Drain reads and drops all bytes until the connection ends.
func (p *Peer) Drain() { _, _ = io.Copy(io.Discard, p.Conn) }

// Flood writes b n times, or until the other side has accepted nothing for patience. It
// returns how many bytes were written.
func (p *Peer) Flood(b []byte, n int, patience time.Duration) (written int) {
	for range n {
		if p.SetWriteDeadline(time.Now().Add(patience)) != nil {
			break
		}
		m, err := p.Write(b)
		written += m
		if err != nil {
			break
		}
	}
	_ = p.SetWriteDeadline(time.Time{})
	return written
}

// Pour is Flood by a client that reads the answers. It returns when the server has
// handled everything or the connection has ended.
func (p *Peer) Pour(b []byte, n int, patience time.Duration) (written int) {
	done := make(chan int, 1)
	go func() {
		written := p.Flood(b, n, patience)
		_ = p.SetWriteDeadline(time.Now().Add(patience))
		_ = p.Send(&wire.Pingreq{})
		_ = p.SetReadDeadline(time.Now().Add(4 * patience))
		done <- written
	}()
	if _, err := Await[*wire.Pingresp](p); err != nil {
		p.Close()
	}
	return <-done
}
