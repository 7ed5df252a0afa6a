package mqtt

import (
	"errors"
	"io"
	"runtime"
	"syscall"

	"github.com/seed65a45251/mqtt/wire"
)

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
	if errors.Is(err, errOnDemand) || errors.Is(err, ErrClosed) || !closedByPeer(err) || len(k.reader.Buffered()) > 0 || k.nc.GoesAway() {
		return nil
	}
	return err
}

// closedByPeer says whether err is how the end of a connection looks that the peer closed or
// reset.
func closedByPeer(err error) bool {
	if code, ok := errors.AsType[syscall.Errno](err); ok {
		const aborted, reset = 10053, 10054 // of Windows, which has other names for them
		return code == syscall.ECONNRESET || code == syscall.EPIPE ||
			runtime.GOOS == "windows" && (code == aborted || code == reset)
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe)
}

// unanswered reports whether the server may yet finish the CONNECT of k, which we gave up
// because of err: it was sent, and nothing came back.
func (k *conn) unanswered(err error) bool {
	return k.written.Load() > 0 && k.nc.Silent() && !saidSomething(err) && !isFault(err) && !errors.Is(err, ErrAuthenticator)
}

// saidSomething reports whether err is what the server has said in a packet.
func saidSomething(err error) bool {
	_, said := errors.AsType[*ServerError](err)
	return said
}

// noteWritten counts bytes that were written to the connection.
func (k *conn) noteWritten(n int) {
	k.written.Add(uint64(n))
	k.client.engine.counters.bytesSent.Add(uint64(n))
}
