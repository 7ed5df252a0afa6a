package brokers

import (
	"slices"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/interop/brokers/servers"
)

// verdict is what a broker does, in a few words for a cell of a table.
type verdict string

// yes is the verdict on a broker that does what the behaviour says.
const yes verdict = "yes"

// behaviour is one thing that users rely on. It has a file of its own, and is registered
// in behaviours.
type behaviour struct {
	// group is the heading under which the page has it, and name its row. What says in a
	// sentence what is expected.
	group, name, what string
	// versions are those that have it. If nil, all have.
	versions []mqtt.Version
	// every also tries the versions that the broker does not speak.
	every bool
	// on is the setup that the probe needs.
	on setup
	// ends says that the probe restarts the server, or ends it.
	ends bool
	// slow are brokers that are left out without -brokers.long, for it takes them long.
	slow []string
	// probe finds out. It fails its test only for what contradicts the client's promises.
	probe func(*probe) verdict
	// departures are the brokers whose verdict is not yes.
	departures []departure
}

// departure is what a broker does instead.
type departure struct {
	broker string
	// versions are those of MQTT on which it does so. If nil, all that it speaks.
	versions []mqtt.Version
	verdict  verdict
	// or are further verdicts, for what is decided by a race within the broker.
	or []verdict
	// patience is how long what is late may take. Zero means impatience.
	patience time.Duration
	// why is the reason, and where that is known from.
	why string
}

// setup is the configuration of a server. Each broker is started once for each.
type setup int

const (
	// open has the defaults, and a listener for WebSocket.
	open setup = iota
	// guarded has one user, a topic that may not be published, a filter that may not be
	// subscribed, and TLS.
	guarded
	// limited has small limits.
	limited
)

// What the setups have.
const (
	user, secret = "user", "secret"
	noPublish    = "forbidden/publish"
	noSubscribe  = "forbidden/subscribe"

	packetLimit     = 64 << 10
	receiveLimit    = 5
	connectionLimit = 8
	keepAliveLimit  = 30 // seconds
)

var setups = map[setup]servers.Options{
	open: {WebSocket: true},
	guarded: {
		Users:     map[string]string{user: secret},
		NoPublish: noPublish, NoSubscribe: noSubscribe,
		TLS: true,
	},
	limited: {
		MaximumPacketSize: packetLimit, ReceiveMaximum: receiveLimit,
		Connections: connectionLimit, KeepAlive: keepAliveLimit,
	},
}

// all are the versions of MQTT, the newest first.
var all = []mqtt.Version{mqtt.V5, mqtt.V311, mqtt.V31}

// newer are the versions of behaviours that take long, or need what 3.1 does not have.
var newer = []mqtt.Version{mqtt.V5, mqtt.V311}

// before5 are the versions in which a broker can give few reasons, and announce no limits.
var before5 = []mqtt.Version{mqtt.V311, mqtt.V31}

// only5 are the versions of behaviours that came with 5.0.
var only5 = []mqtt.Version{mqtt.V5}

// triedOn returns the versions on which it is tried with a broker.
func (b *behaviour) triedOn(k servers.Kind) (tried []mqtt.Version) {
	for _, v := range all {
		if (b.versions == nil || slices.Contains(b.versions, v)) && (b.every || slices.Contains(k.Versions, v)) {
			tried = append(tried, v)
		}
	}
	return tried
}

// departureOf returns what is declared for a broker at a version, or nil.
func (b *behaviour) departureOf(broker string, v mqtt.Version) *departure {
	for i, d := range b.departures {
		if d.broker == broker && (d.versions == nil || slices.Contains(d.versions, v)) {
			return &b.departures[i]
		}
	}
	return nil
}
