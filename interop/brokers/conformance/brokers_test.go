package conformance_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/conformancetest"
	"github.com/seed65a45251/mqtt/interop/brokers/servers"
	"github.com/seed65a45251/mqtt/mqtttest/conformance"
	"github.com/seed65a45251/mqtt/wire"
)

// fatal names the statements whose checks end a broker's process. They run alone, each on a process of
// its own, so that no other check is blamed.
var fatal = map[string][]string{
	// The decoder of SUBSCRIBE reads beyond the end of the packet and panics.
	"mochi": {"SUBSCRIBE that ends early", "others are not disturbed"},
}

// departs says why the result of a failed check is that a broker departs from the statement.
var departs = map[string]map[string]string{
	"NATS": {
		"PUBLISH is repeated": nats30, "PUBREL is repeated": nats30, "order of repeats": nats30,
	},
}

// sometimes says what a broker does in some runs only, and breaks the statement then. It is written down
// as a failure, whatever this run has shown.
var sometimes = map[string]map[string]string{
	"mochi": {
		"messages for an absent client": mochiOrder, "order of repeats": mochiOrder, "order of kept messages": mochiOrder,
		"Receive Maximum holds up nothing else": "refuses a SUBSCRIBE whose packet identifier the server itself uses for an open message",
	},
	"RabbitMQ": {
		"session ends with its connection": "the queue of the earlier session may still be there when the client returns, and a lasting session then gets no CONNACK: the connection is closed",
	},
}

const mochiOrder = "messages of the same second come in any order when the client returns, or not all of them"

const nats30 = "what was not acknowledged comes again when it is ack_wait old, 30 s by default, not at once when the client returns"

// open starts a broker that everybody may use, or one that has users and rights.
func open(t *testing.T, k servers.Kind, guarded bool) (*servers.Server, conformance.ServerRun) {
	o, r := servers.Options{WebSocket: true}, conformance.ServerRun{}
	if guarded {
		o = servers.Options{Users: map[string]string{"suite": "secret"}, NoPublish: "forbidden", NoSubscribe: "forbidden"}
		r.Username, r.Password, r.Refused, r.Forbidden = "suite", "secret", "suite", "forbidden"
	}
	s := k.Start(t, o)
	r.WebSocket = s.WebSocketURL()
	r.Dial = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(s.URL(), "mqtt://"))
	}
	return s, r
}

// check carries out the checks that are chosen on a broker, so many at a time; zero stands for the usual number.
func check(t *testing.T, k servers.Kind, chosen func(*conformance.Statement) bool, parallel int) (version string, results []conformance.Result) {
	deadly := fatal[k.Name]
	all := make([][]conformance.Result, 2)
	var running sync.WaitGroup
	for i, guarded := range []bool{false, true} {
		s, r := open(t, k, guarded)
		version = s.Version()
		r.Parallel = parallel
		r.Only = func(s *conformance.Statement) bool { return chosen(s) && !slices.Contains(deadly, s.Name) }
		running.Go(func() {
			var err error
			if all[i], err = r.Run(t.Context()); err != nil {
				t.Error(k.Name, err)
			}
		})
	}
	running.Wait()
	require.False(t, t.Failed())
	results = conformancetest.Merge(all)
	for _, name := range deadly {
		s, r := open(t, k, false)
		r.Only = func(s *conformance.Statement) bool { return chosen(s) && s.Name == name }
		for _, v := range []byte{4, 5} {
			r.Versions = []wire.Version{wire.Version(v)}
			one, err := r.Run(t.Context())
			require.NoError(t, err)
			results = append(results, one...)
			s.Restart()
		}
	}
	for i := range results {
		if reason := sometimes[k.Name][results[i].Name]; reason != "" {
			results[i].Outcome, results[i].Detail = conformance.Fails, reason
		}
		if reason := departs[k.Name][results[i].Name]; reason != "" && results[i].Outcome == conformance.Fails {
			results[i].Outcome, results[i].Detail = conformance.Departs, reason
		}
	}
	return version, results
}
