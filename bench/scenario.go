package main

import "fmt"

// kind is what a client does in a scenario.
type kind string

const (
	publishing0 kind = "publish" // one goroutine, QoS 0, as fast as it is accepted
	async       kind = "async"   // one goroutine, a window of unacknowledged messages
	blocking    kind = "block"   // many goroutines, each waits for its acknowledgement
	sequential  kind = "seq"     // one goroutine that waits; latency counts
	receiving   kind = "receive" // one filter
	dispatching kind = "filters" // many filters, each with a consumer of its own
	idling      kind = "idle"    // many clients that do nothing
	loaded      kind = "load"    // asynchronous at a given part of the maximum rate; latency counts
	returning   kind = "return"  // the server goes away and comes back
	durable     kind = "durable" // many goroutines publish; what is accepted survives the process
	starting    kind = "start"   // a client whose Store has messages of an earlier process
)

// scenario is one thing to measure.
type scenario struct {
	name       string
	kind       kind
	server     string // sink, firehose, witness or mosquitto
	transport  transport
	qos        byte
	size       int // bytes of payload
	goroutines int
	filters    int
	clients    int
	subscribed bool    // idle clients have a subscription each
	load       float64 // part of the maximum rate
	stored     int     // messages in the Store at first
}

// window is how many messages may be unacknowledged in every scenario.
const window = 256

const topic = "bench/0"

var scenarios = []scenario{
	{name: "pub0-16", kind: publishing0, server: "sink", size: 16},
	{name: "pub0-256", kind: publishing0, server: "sink", size: 256},
	{name: "pub0-4096", kind: publishing0, server: "sink", size: 4096},
	{name: "pub0-1M", kind: publishing0, server: "sink", size: 1 << 20},
	{name: "async1-16", kind: async, server: "sink", qos: 1, size: 16},
	{name: "async1-256", kind: async, server: "sink", qos: 1, size: 256},
	{name: "async1-4096", kind: async, server: "sink", qos: 1, size: 4096},
	{name: "async2-256", kind: async, server: "sink", qos: 2, size: 256},
	{name: "block1-64", kind: blocking, server: "sink", qos: 1, size: 256, goroutines: 64},
	{name: "block2-64", kind: blocking, server: "sink", qos: 2, size: 256, goroutines: 64},
	{name: "seq1", kind: sequential, server: "sink", qos: 1, size: 256},
	{name: "seq2", kind: sequential, server: "sink", qos: 2, size: 256},
	{name: "recv0-16", kind: receiving, server: "firehose", size: 16, filters: 1},
	{name: "recv0-256", kind: receiving, server: "firehose", size: 256, filters: 1},
	{name: "recv0-4096", kind: receiving, server: "firehose", size: 4096, filters: 1},
	{name: "recv0-1M", kind: receiving, server: "firehose", size: 1 << 20, filters: 1},
	{name: "recv1-256", kind: receiving, server: "firehose", qos: 1, size: 256, filters: 1},
	{name: "recv2-256", kind: receiving, server: "firehose", qos: 2, size: 256, filters: 1},
	{name: "filters-1", kind: dispatching, server: "firehose", size: 256, filters: 1},
	{name: "filters-100", kind: dispatching, server: "firehose", size: 256, filters: 100},
	{name: "filters-10000", kind: dispatching, server: "firehose", size: 256, filters: 10_000},
	{name: "pub0-256-tls", kind: publishing0, server: "sink", transport: overTLS, size: 256},
	{name: "async1-256-tls", kind: async, server: "sink", transport: overTLS, qos: 1, size: 256},
	{name: "recv0-256-tls", kind: receiving, server: "firehose", transport: overTLS, size: 256, filters: 1},
	{name: "recv1-256-tls", kind: receiving, server: "firehose", transport: overTLS, qos: 1, size: 256, filters: 1},
	{name: "pub0-256-ws", kind: publishing0, server: "sink", transport: overWebSocket, size: 256},
	{name: "async1-256-ws", kind: async, server: "sink", transport: overWebSocket, qos: 1, size: 256},
	{name: "recv0-256-ws", kind: receiving, server: "firehose", transport: overWebSocket, size: 256, filters: 1},
	{name: "recv1-256-ws", kind: receiving, server: "firehose", transport: overWebSocket, qos: 1, size: 256, filters: 1},
	{name: "load1-10", kind: loaded, server: "sink", qos: 1, size: 256, load: 0.10},
	{name: "load1-50", kind: loaded, server: "sink", qos: 1, size: 256, load: 0.50},
	{name: "load1-90", kind: loaded, server: "sink", qos: 1, size: 256, load: 0.90},
	{name: "idle-2000", kind: idling, server: "sink", clients: 2000},
	{name: "idle-2000-sub", kind: idling, server: "sink", clients: 2000, filters: 1, subscribed: true},
	{name: "idle-10000", kind: idling, server: "sink", clients: 10_000},
	{name: "idle-10000-sub", kind: idling, server: "sink", clients: 10_000, filters: 1, subscribed: true},
	{name: "return", kind: returning, server: "witness", filters: 1},
	{name: "durable1-1", kind: durable, server: "sink", qos: 1, size: 256, goroutines: 1},
	{name: "durable1-16", kind: durable, server: "sink", qos: 1, size: 256, goroutines: 16},
	{name: "durable1-256", kind: durable, server: "sink", qos: 1, size: 256, goroutines: 256},
	{name: "start-0", kind: starting, server: "sink", qos: 1, size: 256},
	{name: "start-100000", kind: starting, server: "sink", qos: 1, size: 256, stored: 100_000},
	{name: "start-1000000", kind: starting, server: "sink", qos: 1, size: 256, stored: 1_000_000},
	{name: "mosq-pub0-256", kind: publishing0, server: "mosquitto", size: 256},
	{name: "mosq-async1-256", kind: async, server: "mosquitto", qos: 1, size: 256},
	{name: "mosq-seq1", kind: sequential, server: "mosquitto", qos: 1, size: 256},
}

func findScenario(name string) (scenario, error) {
	for _, s := range scenarios {
		if s.name == name {
			return s, nil
		}
	}
	return scenario{}, fmt.Errorf("no scenario %q", name)
}

func (s *scenario) serverSettings() serverSettings {
	return serverSettings{
		kind: s.server, addr: "127.0.0.1:0", transport: s.transport,
		qos: int(s.qos), size: s.size, window: window, filters: max(1, s.filters),
	}
}

// names returns the filters to subscribe to.
func (s *scenario) names() []string {
	if s.filters == 1 {
		return []string{topic}
	}
	names := make([]string, s.filters)
	for i := range names {
		names[i] = fmt.Sprintf("bench/%05d", i)
	}
	return names
}
