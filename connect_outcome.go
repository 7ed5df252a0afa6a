package mqtt

import (
	"errors"
	"net"

	"github.com/seed65a45251/mqtt/internal/transport"
	"github.com/seed65a45251/mqtt/wire"
)

// failedAttempt is one try of one server that has failed.
type failedAttempt struct {
	number   int    // of the round
	server   string // its URL without what may be secret
	err      error
	planned  bool // Config.Attempt has let it begin
	canceled bool // nobody wants it any more
}

// count counts an attempt. err may join what different addresses have said.
func (f *FailedAttempts) count(a failedAttempt) {
	said, refused := errors.AsType[*ServerError](a.err)
	switch {
	case refused:
		countCode(&f.Refused, said.ReasonCode)
	case isFault(a.err) || isForeign(a.err):
		f.Protocol++
	case isHTTP(a.err):
		f.HTTP++
	case isTLS(a.err):
		f.TLS++
	case a.canceled:
		f.Canceled++
	case isOurs(a.err) || !a.planned && !errors.Is(a.err, errConnectTimeout):
		f.Local++
	case errors.Is(a.err, errConnectTimeout) || isTimeout(a.err):
		f.Timeout++
	default:
		f.Network++
	}
}

// count counts a connection that err ended.
func (e *EndedConnections) count(err error) {
	said, ended := errors.AsType[*ServerError](err)
	switch {
	case errors.Is(err, ErrClosed):
		e.Closed++
	case errors.Is(err, errOnDemand):
		e.Renewed++
	case isOurs(err): // it may wrap what the server said
		e.Local++
	case ended:
		countCode(&e.Server, said.ReasonCode)
	case errors.Is(err, ErrKeepAlive):
		e.KeepAlive++
	case isFault(err):
		e.Protocol++
	case transport.ClosedByPeer(err):
		e.HungUp++
	default:
		e.Network++
	}
}

func isForeign(err error) bool {
	_, foreign := errors.AsType[*transport.ForeignError](err)
	return foreign
}

func isHTTP(err error) bool {
	_, answered := errors.AsType[*HTTPError](err)
	return answered
}

// isTLS says whether TLS has failed. With TLS 1.3 a server refuses our certificate when
// the handshake is over.
func isTLS(err error) bool {
	if _, early := errors.AsType[*transport.TLSError](err); early {
		return true
	}
	alert, ok := errors.AsType[*net.OpError](err)
	return ok && alert.Op == "remote error"
}

func isTimeout(err error) bool {
	failed, ok := errors.AsType[net.Error](err)
	return ok && failed.Timeout()
}

// isOurs says whether what the program has given us has failed, or cannot work.
func isOurs(err error) bool {
	_, unfit := errors.AsType[*wire.FieldError](err)
	return unfit || errors.Is(err, ErrAuthenticator) || errors.Is(err, ErrStore) || errors.Is(err, ErrInvalid)
}
