package fuzztest

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

// FuzzAuth plays AUTH in and out of turn to a client that authenticates by steps, before
// CONNACK, after it, and while the program authenticates again.
func FuzzAuth(f *testing.F) {
	for _, script := range []string{
		"\x00\x00\x00\x00", "\x05\x01\x00\x00\x00\x01\x00\x01\x00", "\x05\x01\x02\x00\x00\x03\x00\x00\x01\x04\x00\x00\x02\x00\x00\x01",
	} {
		f.Add([]byte(script))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 300 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			a := &watched{failf: t.Errorf}
			w.play(NewChoices(script), authStep, func(_ *Choices, cfg *mqtt.Config) {
				cfg.Version, cfg.Authenticator = mqtt.V5, a
			})
			if proven, up := a.proven.Load(), w.program.client.Stats().Connections; uint64(proven) < up {
				t.Errorf("%d connections came up, and %d servers were proven", up, proven)
			}
		})
	})
}

// authStep is one step of FuzzAuth.
func authStep(c *Choices, w *world) {
	switch c.N(10) {
	case 0, 1, 2:
		w.auth(c, Pick(c, wire.ContinueAuthentication, wire.Success, wire.Reauthenticate, wire.NotAuthorized))
	case 3:
		w.program.begin("reauthenticate", w.program.limit(c), w.program.client.Reauthenticate)
	case 4:
		if peer := w.server.last(); peer != nil {
			peer.send(&wire.Connack{AuthenticationMethod: c.method(), AuthenticationData: c.Bytes(8)})
		}
	case 5:
		bits := c.Byte()
		w.server.behave(func(m *manners) { m.accept, m.grant = bits&1 == 0, bits&2 == 0 })
	case 6:
		w.time(c)
	case 7:
		w.program.publish(c)
	case 8:
		w.packet(c, serverPackets...)
	default:
		w.cut(c)
	}
}

// auth sends AUTH.
func (w *world) auth(c *Choices, code wire.ReasonCode) {
	if peer := w.server.last(); peer != nil {
		peer.send(&wire.Auth{ReasonCode: code, AuthenticationMethod: c.method(), AuthenticationData: c.Bytes(8)})
	}
}

func (c *Choices) method() string { return Pick(c, "M", "M", "M", "", "N") }

// watched is an Authenticator that sees whether its exchanges are called in turn.
type watched struct {
	failf  func(format string, args ...any)
	proven atomic.Int64
}

func (*watched) Method() string { return "M" }

func (a *watched) Start(context.Context) (mqtt.AuthExchange, []byte, error) {
	return &turns{watched: a}, []byte("begin"), nil
}

// turns is one exchange.
type turns struct {
	*watched
	busy, over atomic.Bool
}

func (x *turns) call() {
	if !x.busy.CompareAndSwap(false, true) {
		x.failf("an exchange is called twice at a time")
	}
	if x.over.Load() {
		x.failf("an exchange is called after its end")
	}
}

func (x *turns) Continue(ctx context.Context, challenge []byte) ([]byte, error) {
	x.call()
	defer x.busy.Store(false)
	if bytes.HasPrefix(challenge, []byte("a")) {
		x.over.Store(true)
		return nil, errHandler
	}
	if bytes.HasPrefix(challenge, []byte("b")) {
		<-ctx.Done() // which is far away
		x.over.Store(true)
		return nil, ctx.Err()
	}
	return challenge, nil
}

func (x *turns) Finish(_ context.Context, final []byte) error {
	x.call()
	defer x.busy.Store(false)
	x.over.Store(true)
	if bytes.HasPrefix(final, []byte("a")) {
		return errHandler
	}
	x.proven.Add(1)
	return nil
}
