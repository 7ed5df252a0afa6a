package mqtt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// ending is one call of Disconnect.
type ending struct {
	client *Client
	packet *wire.Disconnect
	own    func() []error // waits for the clients behind Subscriptions, which end at the same time
	left   UnfinishedError
	err    error // what else is to be told
}

// do does all that comes before DISCONNECT, as long as ctx and the client live:
//
//  1. Shared filters are unsubscribed, so that other members get what comes.
//  2. No further message is taken over, and consumers take what is there, those with a
//     connection of their own as well.
//  3. No further message is published, and no Request begins. Requests under way end, and
//     publishers that wait for capacity get it.
//  4. What was published is acknowledged by the server.
//  5. The queues are cut, and the goroutines behind channels end.
//  6. The server gets all acknowledgements.
//
// Consumers may publish and send Requests while they are at work: 3 follows 2.
func (e *ending) do(ctx context.Context) {
	c := e.client
	e.note(c.leaveShared(ctx, e.packet))
	c.inbox.finish(ErrClosed)
	c.await(ctx, &c.inbox.progress, c.inbox.attended)
	e.addOwn(e.own()) // their consumers publish by way of this client
	c.requests.refuse(ErrClosed)
	c.await(ctx, &c.requests.over, func() bool { return c.requests.underway() > 0 })
	c.engine.mu.Lock()
	c.engine.refuseLocked(ErrClosed)
	c.engine.mu.Unlock()
	e.left.Requests = c.requests.underway()
	c.await(ctx, &c.engine.refused, c.engine.waited)
	if err := c.flush(ctx, false); errors.Is(err, ErrConnectionLost) {
		e.note(err) // what is not finished is counted later
	}
	c.inbox.cut(ErrClosed)
	c.awaitReleased(ctx, e.packet)
	if c.ctx.Err() != nil {
		e.left.err = context.Cause(c.ctx)
	}
}

// unsentLocked returns how many published messages are unfinished. Called with engine.mu
// held.
func (c *Client) unsentLocked() int {
	s := c.engine.Sender
	stored, _ := c.keeper.waitingLocked()
	return s.Outstanding(s.LastSeq()) + stored + int(s.Lost()-c.lossReported)
}

// note keeps the first error.
func (e *ending) note(err error) {
	if e.err == nil {
		e.err = err
	}
}

// addOwn adds what clients behind Subscriptions have left.
func (e *ending) addOwn(errs []error) {
	for _, err := range errs {
		if u, ok := errors.AsType[*UnfinishedError](err); ok {
			e.left.add(u)
		} else {
			e.note(err)
		}
	}
}

// result says what is left, of received messages among them. The client has ended.
func (e *ending) result(ctx context.Context, received int) error {
	c := e.client
	c.engine.mu.Lock()
	e.left.Published += c.unsent
	c.engine.mu.Unlock()
	e.left.Received += received + int(c.inbox.lost.Load())
	if e.left.none() {
		return e.err
	}
	if ctx.Err() != nil {
		e.left.err = context.Cause(ctx)
	}
	err := error(&e.left)
	if errors.Is(e.err, ErrConnectionLost) { // QoS 0 messages were lost before
		err = errors.Join(err, inner{e.err})
	}
	return &requestError{"disconnect", "", true, err}
}

// await waits as long as more says, which is asked again with each progress. It ends with
// ctx and with the client. If ctx has no deadline, it waits no longer than
// Config.WriteTimeout for the next progress: the caller may be what is waited for.
func (c *Client) await(ctx context.Context, p *progress, more func() bool) {
	patience := time.NewTimer(c.cfg.WriteTimeout)
	defer patience.Stop()
	tired := patience.C
	if _, limited := ctx.Deadline(); limited {
		tired = nil
	}
	for {
		next := p.await()
		if !more() {
			return
		}
		select {
		case <-next:
			patience.Reset(c.cfg.WriteTimeout)
		case <-tired:
			return
		case <-c.ctx.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// leaveShared ends shared filters for Disconnect: consumers can still take what the server
// sends before its answer. Without a connection, and when it is lost, there is
// nothing to wait for.
func (c *Client) leaveShared(ctx context.Context, p *wire.Disconnect) error {
	var k *conn
	u := &leaving{done: make(chan struct{})}
	c.engine.do(func(*session.Client) {
		if c.engine.ending != nil || c.conn == nil || !c.keepsSessionLocked(p) {
			return
		}
		if leave := c.inbox.withdrawLocked(); leave != nil {
			leave.Owner, k = u, c.conn
		}
	})
	for k != nil {
		c.engine.mu.Lock()
		if c.conn != k {
			c.engine.mu.Unlock()
			return nil
		}
		progress := k.outbox.progressLocked()
		c.engine.mu.Unlock()
		select {
		case <-u.done: // whatever the server says
			return nil
		case <-progress:
		case <-ctx.Done():
			return &requestError{"disconnect", "", true, fmt.Errorf("shared filters not unsubscribed: %w", context.Cause(ctx))}
		}
	}
	return nil
}

// awaitReleased waits until the server knows of all that consumers have: until it has
// every acknowledgement that can be sent, and has ended the exchanges of QoS 2. It
// gives up after Config.WriteTimeout. Where the session ends with the DISCONNECT p it
// does not wait.
func (c *Client) awaitReleased(ctx context.Context, p *wire.Disconnect) {
	done := make(chan struct{})
	stays := false
	c.engine.do(func(engine *session.Client) {
		c.holds.handLocked(engine)
		if stays = c.keepsSessionLocked(p); stays {
			c.engine.owed = append(c.engine.owed, done)
		}
	})
	if !stays {
		return
	}
	timer := time.NewTimer(c.cfg.WriteTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C: // a server that does not answer
	case <-c.ctx.Done():
	case <-ctx.Done():
	}
}
