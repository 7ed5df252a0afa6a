package mqtt

import (
	"context"
	"errors"
	"hash/maphash"
	"maps"
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// A refusal of credentials is the end of a client only if nothing could change
// them, or the server's mind:
//
//   - In CONNACK, before the first connection and without Config.Attempt, it is
//     permanent.
//   - With Config.Attempt, which may know other credentials, it is asked again after
//     a pause. When a server has refused the very same count three times in a row, and
//     no server has ever accepted this client, that is the end.
//   - A client that was connected before goes on, whatever CONNACK says: what was right
//     a minute ago may be right again when the server has loaded all its users. Only
//     Config.Reconnect bounds how often it asks.
//   - What ends a connection on which all was well is judged by evictions.
//
// Config.Permanent, if set, decides in place of these rules.

// sameRefusals is how often a server has to refuse the same credentials.
const sameRefusals = 3

// refusals counts refusals of the same identifier with the same credentials in a row, for
// each server.
type refusals struct {
	counts map[string]*refusalCount
	most   int // in a row, by the server that refused last
}

type refusalCount struct {
	sum uint64 // of the credentials
	n   int
}

// refusesConnect says whether a CONNACK finds fault with something in CONNECT that
// Config.Attempt can change and that is no credential: the client identifier or the will.
func refusesConnect(err error) bool {
	said, ok := errors.AsType[*ServerError](err)
	if !ok || said.Packet != wire.TypeConnack {
		return false
	}
	switch said.ReasonCode {
	case ClientIdentifierNotValid, TopicNameInvalid, PacketTooLarge, PayloadFormatInvalid, RetainNotSupported, QoSNotSupported:
		return true
	}
	return false
}

// refusesCredentials says whether a server has refused who we are, by its CONNACK or
// by a DISCONNECT.
func refusesCredentials(err error) bool {
	said, ok := errors.AsType[*ServerError](err)
	if !ok {
		return false
	}
	switch said.ReasonCode {
	case BadUserNameOrPassword, NotAuthorized, Banned, BadAuthenticationMethod:
		return true
	}
	return false
}

// note takes the outcome of an attempt at server with p.
func (r *refusals) note(server string, p *plan, err error) {
	if !refusesCredentials(err) && !refusesConnect(err) {
		delete(r.counts, server)
		return
	}
	sum := p.fingerprint()
	count := r.counts[server]
	if count == nil || count.sum != sum {
		if r.counts == nil || len(r.counts) >= maxKnownServers {
			r.counts = make(map[string]*refusalCount)
		}
		count = &refusalCount{sum: sum}
		r.counts[server] = count
	}
	count.n++
	r.most = count.n
}

var fingerprintSeed = maphash.MakeSeed()

// fingerprint tells credentials apart without keeping them.
func (p *plan) fingerprint() uint64 {
	var h maphash.Hash
	h.SetSeed(fingerprintSeed)
	add := func(texts ...string) {
		for _, s := range texts {
			maphash.WriteComparable(&h, len(s))
			h.WriteString(s)
		}
	}
	add(p.clientID, p.username, string(p.password), p.server.Query)
	for _, name := range slices.Sorted(maps.Keys(p.header)) {
		add(name)
		add(p.header[name]...)
	}
	for _, u := range p.properties {
		add(u.Name, u.Value)
	}
	if p.tls != nil {
		for _, c := range p.tls.Certificates {
			for _, der := range c.Certificate {
				add(string(der))
			}
		}
	}
	return h.Sum64()
}

// IsPermanent reports whether err makes further attempts to connect pointless: the
// server refused the credentials, the identifier, the version, the kind of client, or
// CONNECT as such, or another client has taken over the session. If Config.Permanent is
// nil, the client ends only if nothing could change the refused credentials, or if its
// session is taken over for the second time; see there.
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
	switch {
	case refusesCredentials(err):
	case c.cfg.Attempt != nil && refusesConnect(err):
		return c.refusals.most >= sameRefusals
	default:
		return true
	}
	if _, twice := errors.AsType[*evicted](err); twice {
		return true
	}
	return !c.accepted && (c.cfg.Attempt == nil || c.refusals.most >= sameRefusals)
}
