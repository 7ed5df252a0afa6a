package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// hello is what the handshake on one connection says.
type hello struct {
	connectFields
	version       Version
	fallback      error  // why version is not 5.0, with Auto
	server        string // what has sessions of its own, see session.Client.ConnectTo
	place         place
	authenticator Authenticator // nil: none
}

// place is where a connection leads.
type place struct {
	url     string // of the server, without what may be secret
	address string // that was dialled
	attempt int    // the number of the round
}

// errTooLate stands for the cause of a context that ended before CONNACK was taken.
var errTooLate = errors.New("handshake ended too late")

// handshake sends the CONNECT p of h and takes packets until CONNACK, within ctx. On
// success the engine is connected with k, and established was called. Otherwise k is
// closed.
func (k *conn) handshake(ctx context.Context, h hello, p *wire.Connect) (err error) {
	// A context of its own: to let go of it calls no code of the program's.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	letGo := context.AfterFunc(ctx, func() { k.nc.SetDeadline(time.Now()) })
	defer func() {
		if err == nil {
			return
		}
		letGo()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		k.nc.Close()
	}()
	exchange, initial, err := startAuth(ctx, h.authenticator)
	if err != nil {
		return err
	}
	if a := h.authenticator; a != nil {
		p.AuthenticationMethod, p.AuthenticationData = a.Method(), initial
	}
	var packet []byte
	var position uint64
	k.engine.do(func(engine *session.Client) {
		err = engine.ConnectTo(h.server, h.version, p, time.Now())
		packet, position = engine.Take(nil, time.Time{}), k.engine.keeper.positionLocked()
	})
	if err == nil {
		err = k.engine.keeper.await(ctx, position)
	}
	if err != nil {
		return err
	}
	if err := k.writeHandshake(packet); err != nil {
		return err
	}
	err = k.awaitConnack(ctx, exchange, letGo)
	if h.version == V5 && isFault(err) && !k.nc.Foreign() {
		k.tellFault(err)
	}
	return err
}

// tellFault tells a server of 5.0 what was wrong with what it sent before the connection
// was established (§4.13.1). It is servers that must not do that [MQTT-3.14.0-1].
func (k *conn) tellFault(err error) {
	fault, _ := errors.AsType[*wire.Error](err)
	words, failed := (&wire.Disconnect{ReasonCode: fault.Reason}).Append(nil, V5)
	most := 0
	k.engine.do(func(engine *session.Client) { most = int(engine.Limits().MaximumPacketSize) })
	if failed != nil || most > 0 && len(words) > most {
		return // a code that a client cannot give, or a server that takes nothing [MQTT-3.2.2-15]
	}
	k.nc.SetWriteDeadline(time.Now().Add(leaveTimeout))
	if k.writeHandshake(words) != nil {
		return // the connection is over anyway
	}
	k.nc.CloseWrite()
}

// awaitConnack takes packets until the server has accepted the connection, and
// answers its challenges. letGo comes before the connection is used: it ends the hold of
// ctx on it, and returns false if ctx has ended before.
func (k *conn) awaitConnack(ctx context.Context, exchange authExchange, letGo func() bool) error {
	confirmed := false
	for {
		done, step, err := k.takeConnack(confirmed, letGo)
		if done || err != nil {
			return err
		}
		if step == nil {
			if err := k.reader.Fill(); err != nil {
				return readError(err)
			}
			continue
		}
		if err := k.answerServer(ctx, exchange, *step); err != nil {
			return err
		}
		confirmed = step.Final
	}
}

// writeHandshake writes what goes before the writer has begun.
func (k *conn) writeHandshake(b []byte) error {
	k.log.wrote(b)
	n, err := k.nc.Write(b)
	k.noteWritten(n)
	if err != nil {
		return k.lastWords(err)
	}
	return nil
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

// answerServer conducts a step of the authentication. The last one is left to
// takeConnack to accept.
func (k *conn) answerServer(ctx context.Context, x authExchange, step session.AuthStep) error {
	data, err := x.step(ctx, step)
	if err != nil || step.Final {
		return err
	}
	var answer []byte
	k.engine.do(func(engine *session.Client) {
		err = engine.Authenticate(data, time.Now())
		answer = engine.Take(nil, time.Time{})
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAuthenticator, err)
	}
	return k.writeHandshake(answer)
}

// takeConnack handles buffered packets up to CONNACK, or to a step of the
// authentication that has to be answered, and no further. confirmed accepts the
// last such step.
func (k *conn) takeConnack(confirmed bool, letGo func() bool) (done bool, step *session.AuthStep, err error) {
	var pass func()
	k.engine.do(func(engine *session.Client) {
		if confirmed {
			err = engine.Authenticate(nil, time.Now())
		}
		if err == nil {
			done, err = k.handleUntilConnack()
		}
		if s, ok := engine.AuthStep(); ok {
			step = &s
		}
		switch {
		case !done:
		case !letGo():
			err = errTooLate
		default:
			k.decoder = engine.Decoder()
			pass, err = k.established(k)
		}
	})
	k.log.readNoted()
	k.tolerance.report()
	if pass != nil {
		pass()
	}
	return done && err == nil, step, err
}

func (k *conn) handleUntilConnack() (done bool, err error) {
	for !k.engine.Connected() {
		h, body, ok, err := k.reader.Next()
		if err != nil || !ok {
			return false, err
		}
		k.log.note(h, body)
		if err := k.engine.Handle(h, body, time.Now()); err != nil {
			return false, err
		}
		if _, ok := k.engine.AuthStep(); ok {
			return false, nil
		}
	}
	return true, nil
}
