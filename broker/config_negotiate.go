package broker

import (
	"cmp"
	"math"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// tooDeep reports whether a topic or filter has too many levels.
func (cfg *Config) tooDeep(topic string) bool {
	return len(topic) >= cfg.TopicLevels && strings.Count(topic, "/") >= cfg.TopicLevels
}

// keepAlive returns the interval in seconds to use for a client that asks for
// requested, and whether the client has to be told.
func (cfg *Config) keepAlive(requested uint16, v wire.Version) (seconds uint16, tell bool) {
	limit := uint16(min(cfg.KeepAliveMaximum/time.Second, math.MaxUint16))
	if limit == 0 || v < wire.V5 || requested > 0 && requested <= limit {
		return requested, false
	}
	return limit, true
}

// forever is the session expiry interval that never runs out.
const forever = math.MaxUint32

// sessionExpiry returns the interval in seconds to use for a client that asks
// for requested.
func (cfg *Config) sessionExpiry(requested uint32) uint32 {
	limit := min(cfg.SessionExpiryMaximum/time.Second, forever)
	return min(requested, uint32(limit))
}

// openMaximum returns how many messages a client may have open.
func (cfg *Config) openMaximum(v wire.Version) int {
	if v == wire.V5 {
		return int(cfg.ReceiveMaximum)
	}
	return min(legacyWindow*int(cfg.ReceiveMaximum), math.MaxUint16)
}

// legacyWindow is the factor for clients that cannot be told how many messages they
// may have open. Any bound would do.
const legacyWindow = 16

// responseInformation returns the text for the client, or "" if it gets none.
func (cfg *Config) responseInformation(peer *Peer) string {
	info := cfg.ResponseInformation
	for mark, own := range map[string]string{"%c": peer.ClientID, "%u": peer.Username} {
		if !strings.Contains(info, mark) {
			continue
		}
		if own == "" || strings.ContainsAny(own, "+#/%") {
			return ""
		}
		info = strings.ReplaceAll(info, mark, own)
	}
	return info
}

// tooMany returns the reason code for a limit of ours. Versions before 5.0 have no
// code of its own for that.
func tooMany(v wire.Version) wire.ReasonCode {
	if v < wire.V5 {
		return wire.ServerUnavailable
	}
	return wire.QuotaExceeded
}

// principalOf returns the principal of a login that d allows.
func (cfg *Config) principalOf(d Decision, username string) principal {
	if cfg.open() {
		return principal{}
	}
	return principal{name: cmp.Or(d.principal, username), known: true}
}
