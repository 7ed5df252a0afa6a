package broker

import (
	"math"

	"github.com/seed65a45251/mqtt/wire"
)

// legacyWindow is how many times as many messages a client may have open that has not
// been told how many: it is as good as any number, but bounded.
const legacyWindow = 16

// openMaximum returns how many messages a client may have open.
func (cfg *Config) openMaximum(v wire.Version) int {
	if v == wire.V5 {
		return int(cfg.ReceiveMaximum)
	}
	return min(legacyWindow*int(cfg.ReceiveMaximum), math.MaxUint16)
}

// forgets reports whether the QoS 2 messages are too many that earlier connections have
// left unfinished. A client that goes on with its session finishes them first, so one
// that lets them pile up does not remember them either. cl.mu is held.
func (cl *client) forgets(cfg *Config) bool {
	return cl.receiver.Unfinished() > cfg.openMaximum(wire.V311)
}
