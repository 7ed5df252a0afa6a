package mqtt

import (
	"context"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// Ping sends PINGREQ on the present connection and returns how long the server took to
// answer: it shows that the server is there and how far away it is. It needs no
// Config.KeepAlive. Without a connection the error is ErrNotConnected. ErrConnectionLost
// says that the connection ended before the answer: the client does not ask again on the
// next one.
//
// A PINGRESP does not say which PINGREQ it answers, so there is one at a time: calls that
// come while one is under way wait for its answer and then share one. With keep-alive a
// PINGREQ without any sign of life for Config.PingTimeout ends the connection. When ctx
// ends, only the wait ends.
//
// The time is that from the write of PINGREQ to the read of PINGRESP. Bytes that were
// written before and have not left are in it, and so is a reader that waits for a
// consumer.
func (c *Client) Ping(ctx context.Context) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, &requestError{"ping", "", false, context.Cause(ctx)}
	}
	type pong struct {
		roundTrip time.Duration
		err       error
	}
	answer := make(chan pong, 1)
	p := &session.Ping{Done: func(d time.Duration, err error) { answer <- pong{d, err} }} // has capacity for it
	err := c.beginPing(p)
	if err != nil {
		return 0, &requestError{"ping", "", false, err}
	}
	select {
	case a := <-answer:
		if a.err == nil {
			return a.roundTrip, nil
		}
		err = a.err
		if ending := c.engine.endingCause(); ending != nil {
			err = ending // which is why the connection ended
		}
	case <-ctx.Done():
		c.engine.do(func(engine *session.Client) { engine.ForgetPing(p) })
		err = context.Cause(ctx)
	}
	return 0, &requestError{"ping", "", true, err}
}

// beginPing hands p to the engine, and wakes the goroutine that notices a server that does
// not answer.
func (c *Client) beginPing(p *session.Ping) error {
	var n notices
	c.engine.mu.Lock()
	err := c.engine.ending
	switch {
	case err != nil:
	case c.conn == nil: // a handshake that came too late may have connected the engine
		err = ErrNotConnected
	default:
		if err = c.engine.Ping(p, time.Now()); err == nil {
			c.conn.tickLocked()
		}
	}
	c.engine.unlock(&n)
	return err
}
