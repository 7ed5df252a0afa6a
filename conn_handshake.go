package mqtt

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// handshake sends CONNECT and takes packets until CONNACK, within ctx. On
// success the engine is connected and k is the client's connection.
func (k *conn) handshake(ctx context.Context, v Version, p *wire.Connect) (err error) {
	c := k.client
	stop := context.AfterFunc(ctx, func() { k.nc.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() || ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			k.nc.Close()
			c.forget(k, err)
		}
	}()
	c.mu.Lock()
	c.epoch++
	err = c.engine.Connect(v, p, time.Now())
	hello := c.engine.Take(nil, time.Time{})
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if k.trace != nil {
		k.trace.wrote(hello)
	}
	n, err := k.nc.Write(hello)
	c.counters.bytesSent.Add(uint64(n))
	if err != nil {
		if err := k.lastWords(err); err != nil {
			return err
		}
	}
	for {
		if err := k.reader.Fill(); err != nil {
			return readError(err)
		}
		done, err := k.takeConnack()
		if done || err != nil {
			return err
		}
	}
}

// lastWords returns what the server said before it reset the connection, so
// that CONNECT failed with err: with TLS 1.3 it refuses our certificate when our
// part of the handshake is over. Nil means that it said a packet.
func (k *conn) lastWords(err error) error {
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	said := k.reader.Fill()
	switch {
	case said == nil:
		return nil // a packet, which takeConnack judges
	case said == io.EOF || errors.Is(said, syscall.ECONNRESET):
		return err
	}
	return readError(said)
}

// takeConnack handles buffered packets up to CONNACK and no further.
func (k *conn) takeConnack() (done bool, err error) {
	c := k.client
	var e effects
	var event Event
	c.mu.Lock()
	done, err = k.handleUntilConnack()
	if done && c.ending != nil {
		done, err = false, c.ending
	}
	if done {
		event = c.established(k)
	}
	c.settle(&e)
	c.mu.Unlock()
	e.perform()
	if done {
		c.watchers.send(event)
	}
	return done, err
}

func (k *conn) handleUntilConnack() (done bool, err error) {
	engine := k.client.engine
	for !engine.Connected() {
		h, body, ok, err := k.reader.Next()
		if err != nil || !ok {
			return false, err
		}
		if k.trace != nil {
			k.trace.packet(packetReceived, &k.trace.received, h, body)
		}
		if err := engine.Handle(h, body, time.Now()); err != nil {
			return false, err
		}
	}
	return true, nil
}
