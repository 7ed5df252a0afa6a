package mqtt

import (
	"context"
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/internal/transport"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// leaveTimeout bounds how long a closing connection may still write and wait for
// the server to close its side.
const leaveTimeout = time.Second

// replaced ends a connection that is to be replaced by a new one. Each is errOnDemand.
type replaced string

func (r replaced) Error() string { return string(r) }

func (r replaced) Is(target error) bool { return target == errOnDemand }

var (
	errOnDemand error = replaced("Reconnect was called")
	errTooOld   error = replaced("the connection has reached Config.MaximumConnectionAge")
)

// breakOff ends the connection because of err once the writer has sent what
// the engine has to say about it.
func (k *conn) breakOff(ctx context.Context, err error) error {
	k.engine.do(func(engine *session.Client) {
		engine.Fail(err)
		k.leaveLocked(err)
	})
	k.limitLeaving()
	<-ctx.Done()
	return err
}

// leaveLocked makes the writer end the connection because of cause.
// limitLeaving has to follow without the lock.
func (k *conn) leaveLocked(cause error) {
	if k.leaving == nil {
		k.leaving = cause
		k.leaveBy.Store(int64(time.Since(k.start) + leaveTimeout))
		k.outbox.reserveLocked()
	}
}

// limitLeaving bounds what a leaving connection still does, even a write under way.
func (k *conn) limitLeaving() {
	k.nc.Finish(k.leaveDeadline())
	k.outbox.wakeWriter()
}

// leaveDeadline is when a leaving connection has to be over.
func (k *conn) leaveDeadline() time.Time { return k.start.Add(time.Duration(k.leaveBy.Load())) }

// awaitServerClose gives the server the chance to read the last bytes: closing a
// socket with unread input would reset the connection and could destroy them.
func (k *conn) awaitServerClose(ctx context.Context, cause error) error {
	k.nc.CloseWrite()
	timer := time.NewTimer(time.Until(k.leaveDeadline()))
	defer timer.Stop()
	if errors.Is(cause, ErrClosed) || errors.Is(cause, errOnDemand) {
		select {
		case <-ctx.Done(): // the reader has seen the end
		case <-timer.C:
		}
	}
	return cause
}

// endedBy returns err if it says how the server ended the connection, perhaps because
// of something that it got: with its own words, by closing or resetting the
// connection, or with an answer that we had to refuse. It is nil when we ended the
// connection, when the network broke, and when half a packet of the server's is all
// that came: then a cut is more likely.
func (k *conn) endedBy(err error) error {
	if saidSomething(err) {
		return err
	}
	if _, fault := errors.AsType[*wire.Error](err); fault {
		return err // what kind of packet it is about, the engine looks at
	}
	if errors.Is(err, errOnDemand) || errors.Is(err, ErrClosed) || !transport.ClosedByPeer(err) || len(k.reader.Buffered()) > 0 || k.nc.GoesAway() {
		return nil
	}
	return err
}

// unanswered reports whether the server may yet finish the CONNECT of k, which we gave up
// because of err: it was sent, and nothing came back.
func (k *conn) unanswered(err error) bool {
	return k.written.Load() > 0 && k.nc.Silent() && !saidSomething(err) && !isFault(err) && !errors.Is(err, ErrAuthenticator)
}
