package mqtt

import (
	"context"
	"errors"

	"github.com/seed65a45251/mqtt/wire"
)

// IsPermanent reports whether trying to connect again is pointless because of
// err: the server refused the credentials, the identifier, the version or the
// kind of client, or CONNECT as such, or another client has taken over the
// session. With Config.Permanent unset a refusal of credentials is the end only
// if nothing could change it, and a session that is taken over only if it is the
// second time; see there.
func IsPermanent(err error) bool {
	if r, ok := errors.AsType[*roundError](err); ok {
		return r.final
	}
	e, ok := errors.AsType[*ServerError](err)
	if !ok {
		return false
	}
	switch e.ReasonCode {
	case UnsupportedProtocolVersion, ClientIdentifierNotValid, BadUserNameOrPassword, NotAuthorized,
		Banned, BadAuthenticationMethod, SessionTakenOver:
		return true
	case MalformedPacket, ProtocolError, TopicNameInvalid, PacketTooLarge, PayloadFormatInvalid,
		RetainNotSupported, QoSNotSupported:
		// In CONNACK they are about CONNECT, which will be the same again. In
		// DISCONNECT they are about one packet among many.
		return e.Packet == wire.TypeConnack
	}
	return false
}

// permanent asks the caller's function about err, unless tryRound has done so.
func (c *connector) permanent(ctx context.Context, err error) bool {
	if r, asked := errors.AsType[*roundError](err); asked {
		return r.final
	}
	if errors.Is(err, errOnDemand) {
		return false
	}
	if c.cfg.Permanent == nil {
		return c.permanentByDefault(err)
	}
	permanent, _ := detached(ctx, func() bool { return c.cfg.Permanent(err) })
	return permanent // false when ctx has ended: pause says why
}

// permanentByDefault is the rule of a client whose Config.Permanent is not set.
func (c *connector) permanentByDefault(err error) bool {
	if once, late := errors.AsType[*evicted](err); late && !once.final || !IsPermanent(err) {
		return false
	}
	if !refusesCredentials(err) {
		return true
	}
	if _, twice := errors.AsType[*evicted](err); twice {
		return true
	}
	return !c.accepted && (c.cfg.Attempt == nil || c.refusals.most >= sameRefusals)
}
