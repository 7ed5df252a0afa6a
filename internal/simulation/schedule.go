package simulation

import (
	"math/rand/v2"

	"github.com/seed65a45251/mqtt/wire"
)

// Schedule is one run of the simulation.
type Schedule struct {
	Seed  uint64
	Setup Setup
	Steps []Step
}

// Setup is what stays the same in a run.
type Setup struct {
	Version      wire.Version
	Clients      int
	Inflight     int    // 0: the default of package session
	ReceiveMax   uint16 // that the clients announce
	TopicAliases uint16 // that the clients use
	AliasMax     uint16 // that the clients announce
	KeepAlive    uint16 // seconds
	FailLost     bool
	Resume       bool // a server may have a session of before
	Store        bool // the clients keep their sessions in Stores
	Window       int  // how many messages of the Store are in memory
	Servers      []ServerSetup
}

// ServerSetup is how one server behaves.
type ServerSetup struct {
	Engine     bool // it is built on package session
	Late       bool // passes QoS 2 messages on with PUBREL, not with PUBLISH
	Silent     bool // answers a PUBREL for an unknown identifier with success
	NoDup      bool // repeats without DUP
	Lazy       bool // answers when a step says so
	Poison     bool // hangs up on a message on the topic poison
	Refuses    bool // refuses every message on the topic refused
	ReceiveMax uint16
	AliasMax   uint16
	MaximumQoS wire.QoS
	Stride     uint16 // from one packet identifier to the next
}

// Step is one decision. What A, B and C mean depends on Kind; they are taken modulo what there
// is.
type Step struct {
	Kind Kind
	A    uint8
	B, C uint16
}

// Kind is what a step does.
type Kind uint8

// The kinds of steps. A is the client, or the server where there is no client.
const (
	Publish       Kind = iota // at QoS B on topic C
	ConnectTo                 // server B
	Up                        // B bytes arrive at the server
	Down                      // B bytes arrive at the client
	Settle                    // everything in flight arrives, B times
	Acknowledge               // the program acknowledges message B
	Subscribe                 // to filter B at QoS C
	Unsubscribe               // from subscription B
	Withdraw                  // message B from the end
	Cut                       // the client loses the connection; B bytes still arrive, C says who notices
	HalfOpen                  // bytes vanish; B says in which direction
	Wait                      // for a time of B
	Orphan                    // C bytes of lost connection B arrive at its server
	ServerPublish             // server A publishes at QoS B on topic C
	ServerAnswer              // server A sends B of its answers
	ServerEnd                 // server A ends the connections in the way B
	ServerForget              // server A loses its sessions
	ServerSave                // server A saves its sessions
	ServerRestore             // server A comes back with what it saved
	ServerShrink              // server A announces other limits from now on
	ServerRefuse              // server A refuses the next connections with code B
	Crash                     // the process of the client ends, and a new one begins
	Abandon                   // the client begins a connection to server B and gives it up; CONNECT stays in flight
	Flaky                     // B times the connection to server B breaks when everything was sent
	Burst                     // server A publishes B messages on topic C
	CommitBegin               // the client begins to write what has gathered to its Store
	Commit                    // and has written it
	Fault                     // the next C commits of the client fail in the way B
	LostConnack               // server B answers the client's CONNECT, and the answer gets lost; perhaps it had forgotten its sessions
	Hammer                    // server B accepts the client and hangs up at once, C times
	kinds
)

// weights says how often each kind is chosen.
var weights = [kinds]int{
	Publish: 16, ConnectTo: 14, Up: 12, Down: 12, Settle: 8, Acknowledge: 10, Subscribe: 4, Unsubscribe: 1, Withdraw: 2,
	Cut: 5, HalfOpen: 1, Wait: 2, Orphan: 4, ServerPublish: 6, ServerAnswer: 5, ServerEnd: 2, ServerForget: 1, ServerSave: 2,
	ServerRestore: 1, ServerShrink: 1, ServerRefuse: 1, Crash: 1, Abandon: 3, Flaky: 1, Burst: 2, CommitBegin: 6, Commit: 8, Fault: 1, LostConnack: 1, Hammer: 1,
}

// Generate returns the schedule of a seed.
func Generate(seed uint64) Schedule {
	r := rand.New(rand.NewPCG(seed, 13))
	s := Schedule{Seed: seed, Setup: setup(r)}
	chosen := weights
	if !s.Setup.Store {
		chosen[CommitBegin], chosen[Commit], chosen[Fault] = 0, 0, 0
	} else {
		chosen[Crash] *= 3
	}
	for kind := range chosen { // every schedule has its own climate
		switch r.IntN(6) {
		case 0:
			chosen[kind] *= 3
		case 1:
			chosen[kind] = (chosen[kind] + 1) / 2
		case 2:
			if Kind(kind) >= Unsubscribe && Kind(kind) != Orphan && Kind(kind) != ServerAnswer {
				chosen[kind] = 0
			}
		}
	}
	total := 0
	for _, w := range chosen {
		total += w
	}
	for range r.IntN(4) {
		s.Steps = append(s.Steps, Step{Kind: Subscribe, A: uint8(r.IntN(6)), B: uint16(r.IntN(3)), C: uint16(1 + r.IntN(2))})
	}
	most := 10 + r.IntN(120)
	for range most {
		n := r.IntN(total)
		kind := Kind(0)
		for n >= chosen[kind] {
			n -= chosen[kind]
			kind++
		}
		s.Steps = append(s.Steps, Step{Kind: kind, A: uint8(r.IntN(6)), B: uint16(r.IntN(120)), C: uint16(r.IntN(120))})
	}
	return s
}

func setup(r *rand.Rand) Setup {
	one := func(of ...int) int { return of[r.IntN(len(of))] }
	s := Setup{
		Version: wire.Version(one(5, 5, 5, 4, 4, 3)), Clients: one(1, 1, 1, 2, 3), Inflight: one(0, 0, 1, 2, 5),
		ReceiveMax: uint16(one(0, 1, 2, 3, 8)), TopicAliases: uint16(one(0, 2, 4)), AliasMax: uint16(one(0, 2, 5)),
		KeepAlive: uint16(one(0, 10, 30, 60)), FailLost: r.IntN(8) == 0, Resume: r.IntN(2) == 0, Store: r.IntN(2) == 0,
		Window: one(1000, 1000, 2, 3, 6),
	}
	for range one(1, 1, 1, 2, 3) {
		s.Servers = append(s.Servers, ServerSetup{
			Engine: r.IntN(3) == 0,
			Late:   r.IntN(3) == 0, Silent: r.IntN(3) == 0, NoDup: r.IntN(4) == 0, Lazy: r.IntN(2) == 0, Poison: r.IntN(6) == 0,
			Refuses: r.IntN(4) == 0, ReceiveMax: uint16(one(0, 0, 1, 2, 3, 8)), AliasMax: uint16(one(0, 1, 3)),
			MaximumQoS: wire.QoS(one(2, 2, 2, 2, 2, 2, 1)), Stride: uint16(one(1, 1, 16, 32, 1000)),
		})
	}
	return s
}

// topics are what programs publish on, and the filters to which they subscribe.
var topics = []string{"first", "second", "third", "poison", "refused"}

// topicOf makes the special topics rare.
func topicOf(c uint16) string {
	if c >= 110 {
		return topics[3+c%2]
	}
	return topics[c%3]
}
