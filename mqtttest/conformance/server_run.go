package conformance

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// ServerRun says how to check a server. The suite plays its clients. They use client identifiers and
// topics of their own, so one server serves all checks at the same time, and others besides.
// Identifiers begin with "cf", topics with "conformance/".
type ServerRun struct {
	// Dial makes a connection to the server, on which MQTT packets are sent.
	Dial func(ctx context.Context) (net.Conn, error)
	// WebSocket is the URL of the server's WebSocket listener, such as
	// ws://127.0.0.1:8080/mqtt. If empty, the statements about WebSockets are not observed.
	WebSocket string
	// Versions are those to check. If nil, they are 3.1.1 and 5.0, as far as the server has them.
	Versions []wire.Version
	// Only chooses statements. If nil, all are checked.
	Only func(*Statement) bool
	// Parallel is how many checks run at a time; most of them wait most of the time. Zero means 24.
	Parallel int
	// Patience is how long a check waits for what the server has to do. Zero means ten seconds.
	Patience time.Duration

	// Username and Password are for all connections, if Username is not empty.
	Username, Password string
	// Refused is a user name that the server refuses with the password "wrong". If empty, refused
	// credentials are not observed.
	Refused string
	// Forbidden is a topic that clients may neither publish on nor subscribe to. If empty, rights
	// are not observed.
	Forbidden string
	// Method is an authentication method of 5.0 that the server knows, and Prove its client: it
	// returns the data to begin with for nil, and then the answer to the data of each AUTH of the
	// server. If Method is empty, enhanced authentication is not observed.
	Method string
	Prove  func(challenge []byte) []byte
}

// ServerStatements returns the statements that bind servers, those that no check can see too.
func ServerStatements() []*Statement {
	statements := make([]*Statement, len(serverChecks))
	for i := range serverChecks {
		statements[i] = &serverChecks[i].Statement
	}
	return statements
}

// Run carries out the checks and returns their results, by statement and version. The error says
// that the server cannot be reached, or that ctx has ended.
func (r ServerRun) Run(ctx context.Context) ([]Result, error) {
	s, err := newSubject(ctx, r)
	if err != nil {
		return nil, err
	}
	var (
		results []Result
		scripts []func(*trial)
	)
	for i := range serverChecks {
		c := &serverChecks[i]
		for _, v := range s.Versions {
			if len(c.Numbers(v)) > 0 && (r.Only == nil || r.Only(&c.Statement)) {
				results = append(results, Result{Statement: &c.Statement, Name: c.Name, Version: v})
				scripts = append(scripts, c.run)
			}
		}
	}
	var running sync.WaitGroup
	slots := make(chan struct{}, s.Parallel)
	for i := range results {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			s.check(ctx, &results[i], scripts[i], i)
		})
	}
	running.Wait()
	s.judgePackets(results)
	return results, context.Cause(ctx)
}

// serverCheck is a statement about servers with the script that observes it.
type serverCheck struct {
	Statement
	run func(*trial)
}

// subject is a server while it is checked.
type subject struct {
	ServerRun
	run    string // part of all identifiers and topics
	offers map[wire.Version]*wire.Connack

	mu     sync.Mutex                // guards faults
	faults map[wire.Version][]string // of packets that the server has sent
}

// newSubject asks the server what it offers.
func newSubject(ctx context.Context, r ServerRun) (*subject, error) {
	random := make([]byte, 4)
	_, _ = rand.Read(random)
	s := &subject{
		ServerRun: r, run: hex.EncodeToString(random),
		offers: map[wire.Version]*wire.Connack{}, faults: map[wire.Version][]string{},
	}
	s.Parallel = cmp.Or(s.Parallel, 24)
	s.Patience = cmp.Or(s.Patience, 10*time.Second)
	asked := s.Versions
	if asked == nil {
		asked = []wire.Version{wire.V311, wire.V5}
	}
	s.Versions = nil
	for _, v := range asked {
		connack, err := s.probe(ctx, v)
		switch {
		case err != nil:
			return nil, err
		case connack != nil:
			s.offers[v] = connack
			s.Versions = append(s.Versions, v)
		}
	}
	if v5 := s.offers[wire.V5]; v5 != nil {
		for v := range s.offers { // before 5.0 a server cannot say what it has
			s.offers[v] = v5
		}
	}
	if len(s.Versions) == 0 {
		return nil, fmt.Errorf("conformance: the server accepts none of the versions")
	}
	return s, nil
}

// probe returns the CONNACK that accepts a connection of version v, or nil if the server accepts none.
func (s *subject) probe(ctx context.Context, v wire.Version) (connack *wire.Connack, err error) {
	t := s.trial(ctx, v, "probe")
	defer t.end()
	defer func() {
		if v, ours := recover().(verdict); ours {
			err = fmt.Errorf("conformance: %s", v.seen)
		}
	}()
	p, accepted := t.open(t.connect(t.id("p")))
	if p == nil {
		return nil, nil
	}
	if v != wire.V5 {
		t.probeQoS2(p, accepted)
	}
	p.leave()
	return accepted, nil
}

// probeQoS2 finds out whether a server that cannot say so has QoS 2. One check judges that it must; the
// others are about something else.
func (t *trial) probeQoS2(p *caller, connack *wire.Connack) {
	p.send(&wire.Publish{Topic: t.topic("probe"), QoS: wire.ExactlyOnce, PacketID: 1})
	if packet, _ := p.read(t.s.Patience); packet != nil && packet.Type() == wire.TypePuback {
		connack.MaximumQoS = new(wire.AtLeastOnce)
	}
}

func (s *subject) trial(ctx context.Context, v wire.Version, name string) *trial {
	return &trial{ctx: ctx, s: s, version: v, prefix: "cf" + s.run + name, sessions: map[string]bool{}}
}

// gone is what is seen when a server does not survive a check. It may be any of those that run at the time.
const gone = "the server accepts no connection any more"

// check runs one check and notes how it went.
func (s *subject) check(ctx context.Context, r *Result, run func(*trial), number int) {
	if r.Statement.NotObserved != "" {
		r.Outcome, r.Detail = NotObserved, r.Statement.NotObserved
		return
	}
	if run == nil {
		return // judged at the end
	}
	t := s.trial(ctx, r.Version, strconv.Itoa(number)+"x")
	r.Outcome, r.Detail = t.try(run)
	t.end()
	if conn, err := s.Dial(ctx); err == nil {
		conn.Close()
	} else if ctx.Err() == nil {
		r.Outcome, r.Detail = Fails, gone
	}
}

// try runs a script. Scripts end with a verdict when they do not pass.
func (t *trial) try(run func(*trial)) (outcome Outcome, seen string) {
	defer func() {
		if v := recover(); v != nil {
			end, ours := v.(verdict)
			if !ours {
				panic(v)
			}
			outcome, seen = end.outcome, t.short(end.seen)
		}
	}()
	run(t)
	outcome = Passes
	if t.departs {
		outcome = Departs
	}
	slices.Sort(t.remarks)
	return outcome, strings.Join(slices.Compact(t.remarks), "; ")
}

// note remembers a fault in a packet of the server.
func (s *subject) note(v wire.Version, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text := err.Error(); !slices.Contains(s.faults[v], text) {
		s.faults[v] = append(s.faults[v], text)
	}
}

// judgePackets gives the result of what all packets of all checks have shown together.
func (s *subject) judgePackets(results []Result) {
	for i := range results {
		r := &results[i]
		if r.Name != wellFormed {
			continue
		}
		if faults := s.faults[r.Version]; len(faults) > 0 {
			slices.Sort(faults)
			r.Outcome, r.Detail = Fails, strings.Join(faults, "; ")
		}
	}
}

// What a server offers. One that does not have 5.0 cannot say so, and counts as offering everything.

func (s *subject) highest(v wire.Version, qos wire.QoS) wire.QoS {
	if m := s.offers[v].MaximumQoS; m != nil {
		return min(qos, *m)
	}
	return qos
}

func (t *trial) needsQoS(qos wire.QoS) {
	if t.s.highest(t.version, qos) < qos {
		t.cannot("the server takes QoS %d at most", t.s.highest(t.version, qos))
	}
}

func (t *trial) needsRetain() { t.needs(t.s.offers[t.version].RetainAvailable, "retained messages") }

func (t *trial) needsWildcards() {
	t.needs(t.s.offers[t.version].WildcardSubscriptionAvailable, "wildcard subscriptions")
}

func (t *trial) needsSubscriptionIDs() {
	t.needs(t.s.offers[t.version].SubscriptionIDAvailable, "subscription identifiers")
}

func (t *trial) needsShared() {
	t.needs(t.s.offers[t.version].SharedSubscriptionAvailable, "shared subscriptions")
}

func (t *trial) needs(available *bool, what string) {
	if available != nil && !*available {
		t.cannot("the server has no %s", what)
	}
}
