package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/internal/transport"
	"github.com/seed65a45251/mqtt/wire"
)

// peer is one connection to the server. It answers what has to be answered, and keeps
// what comes until a check asks for it. Its methods are for one goroutine.
type peer struct {
	nc       *transport.Conn
	version  wire.Version
	clientID string
	nextID   uint16
	holdAcks bool // messages are left without an acknowledgement

	writing sync.Mutex // held while writing
	ended   chan struct{}

	mu       sync.Mutex
	messages []*wire.Publish // guarded by mu
	answers  []wire.Packet   // guarded by mu: all other packets
	err      error           // guarded by mu: why the connection ended
	signal   chan struct{}   // something of these has changed
}

// goneError says how the server ended a connection.
type goneError struct {
	reason *wire.Disconnect // nil: it hung up
	err    error
}

// Error says it in words.
func (e *goneError) Error() string {
	if e.reason != nil {
		return "the server disconnected: " + withReason(e.reason.ReasonCode, e.reason.ReasonString)
	}
	return fmt.Sprintf("the server closed the connection (%v)", e.err)
}

// Unwrap returns the reason code, if there is one.
func (e *goneError) Unwrap() error {
	if e.reason != nil {
		return e.reason.ReasonCode
	}
	return e.err
}

// unreachedError says that no CONNECT was sent.
type unreachedError struct{ err error }

// Error returns the text of the cause.
func (e *unreachedError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *unreachedError) Unwrap() error { return e.err }

// refusedError is an answer with a reason code of 0x80 or above.
type refusedError struct {
	packet wire.PacketType
	code   wire.ReasonCode
	reason string
}

// Error says it in words.
func (e *refusedError) Error() string {
	return fmt.Sprintf("%s: %s", e.packet, withReason(e.code, e.reason))
}

// Unwrap returns the reason code.
func (e *refusedError) Unwrap() error { return e.code }

func withReason(code wire.ReasonCode, reason string) string {
	if reason == "" {
		return code.Error()
	}
	return fmt.Sprintf("%s, %q", code.Error(), reason)
}

// connect opens a connection with the CONNECT p, which lacks only the credentials.
func connect(ctx context.Context, d *dialer, v wire.Version, p *wire.Connect) (*peer, *wire.Connack, error) {
	nc, login, err := d.dial(ctx, v)
	if err != nil {
		return nil, nil, &unreachedError{err}
	}
	p.Username, p.Password = login.username, login.password
	if v == wire.V5 {
		p.UserProperties = login.properties
	}
	k := &peer{nc: nc, version: v, clientID: p.ClientID, ended: make(chan struct{}), signal: make(chan struct{}, 1)}
	reader := wire.NewReader(nc, v, 0)
	go k.read(reader)
	ack, err := k.handshake(ctx, p)
	if err != nil {
		k.cut()
		return nil, nil, err
	}
	if ack.AssignedClientID != "" {
		k.clientID = ack.AssignedClientID
	}
	return k, ack, nil
}

func (k *peer) handshake(ctx context.Context, p *wire.Connect) (*wire.Connack, error) {
	if err := k.send(p); err != nil {
		return nil, err
	}
	answer, err := k.answer(ctx, func(p wire.Packet) bool {
		return p.Type() == wire.TypeConnack || p.Type() == wire.TypeAuth
	})
	if err != nil {
		return nil, err
	}
	ack, ok := answer.(*wire.Connack)
	if !ok {
		return nil, errors.New("the server wants enhanced authentication")
	}
	if ack.ReasonCode.Failed() {
		return nil, &refusedError{wire.TypeConnack, ack.ReasonCode, ack.ReasonString}
	}
	return ack, nil
}

// read takes packets until the connection ends.
func (k *peer) read(r *wire.Reader) {
	defer close(k.ended)
	d := wire.Decoder{Version: k.version, Tolerate: func(*wire.Error) {}}
	for {
		h, body, err := r.ReadPacket()
		if err != nil {
			k.end(&goneError{err: err})
			return
		}
		p, err := d.Decode(h, bytes.Clone(body)) // the packet is kept
		if err != nil {
			k.end(fmt.Errorf("the server sent a packet that is not valid: %w", err))
			return
		}
		if gone, ok := p.(*wire.Disconnect); ok {
			k.end(&goneError{reason: gone})
			return
		}
		k.take(p)
	}
}

// take keeps a packet, and answers it.
func (k *peer) take(p wire.Packet) {
	switch p := p.(type) {
	case *wire.Publish:
		k.mu.Lock()
		k.messages = append(k.messages, p)
		hold := k.holdAcks
		k.mu.Unlock()
		if !hold {
			k.acknowledge(p)
		}
	case *wire.Pubrel:
		_ = k.send(&wire.Pubcomp{PacketID: p.PacketID}) // the reader notices the end
	default:
		k.mu.Lock()
		k.answers = append(k.answers, p)
		k.mu.Unlock()
	}
	k.wake()
}

func (k *peer) acknowledge(p *wire.Publish) {
	switch p.QoS {
	case wire.AtLeastOnce:
		_ = k.send(&wire.Puback{PacketID: p.PacketID})
	case wire.ExactlyOnce:
		_ = k.send(&wire.Pubrec{PacketID: p.PacketID})
	}
}

func (k *peer) end(err error) {
	k.mu.Lock()
	k.err = err
	k.mu.Unlock()
	k.wake()
}

func (k *peer) wake() {
	select {
	case k.signal <- struct{}{}:
	default:
	}
}

func (k *peer) send(p wire.Packet) error {
	b, err := p.Append(nil, k.version)
	if err != nil {
		return err
	}
	k.writing.Lock()
	defer k.writing.Unlock()
	k.nc.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := k.nc.Write(b); err != nil {
		// What the server said before it hung up is the better reason.
		select {
		case <-k.ended:
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.err
		case <-time.After(time.Second):
		}
		return &goneError{err: err}
	}
	return nil
}

// await waits until take returns true, and otherwise for the end of the connection or of
// ctx. take runs with k.mu held.
func (k *peer) await(ctx context.Context, take func() bool) error {
	for {
		k.mu.Lock()
		ok, err := take(), k.err
		k.mu.Unlock()
		if ok {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-k.signal:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// answer waits for a packet that fits.
func (k *peer) answer(ctx context.Context, fits func(wire.Packet) bool) (found wire.Packet, err error) {
	err = k.await(ctx, func() bool {
		for i, p := range k.answers {
			if fits(p) {
				found = p
				k.answers = append(k.answers[:i:i], k.answers[i+1:]...)
				return true
			}
		}
		return false
	})
	return found, err
}

// next waits for a message.
func (k *peer) next(ctx context.Context) (m *wire.Publish, err error) {
	err = k.await(ctx, func() bool {
		if len(k.messages) == 0 {
			return false
		}
		m, k.messages = k.messages[0], k.messages[1:]
		return true
	})
	return m, err
}

// gone waits until the server ends the connection, and returns how.
func (k *peer) gone(ctx context.Context) error {
	var how error
	if err := k.await(ctx, func() bool { how = k.err; return how != nil }); err != nil {
		return err
	}
	return how
}

// alive reports whether the connection has not ended, as far as is known.
func (k *peer) alive() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err == nil
}

// disconnect ends the connection in order.
func (k *peer) disconnect(p *wire.Disconnect) {
	if k.alive() {
		_ = k.send(p) // it ends either way
		_ = k.nc.CloseWrite()
		// The server closes when it has read it. Cutting earlier could destroy it.
		select {
		case <-k.ended:
		case <-time.After(time.Second):
		}
	}
	k.cut()
}

// cut ends the connection without a word.
func (k *peer) cut() {
	k.nc.Close()
	<-k.ended
}

// waiting is how many messages have come that no check has taken.
func (k *peer) waiting() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.messages)
}

// grace is how long a message may come after one that was published later. Most servers
// keep the order; clusters may not.
const grace = 150 * time.Millisecond

// rest returns what comes shortly.
func (k *peer) rest(ctx context.Context) (list []*wire.Publish) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for {
		m, err := k.next(ctx)
		if err != nil {
			return list
		}
		list = append(list, m)
	}
}
