package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// Random rules, and users who do at random what clients can do. A model that knows the
// rules and nothing of the broker says who may have what:
//
//   - What anybody gets, root has got before, and its author had the right to write it
//     when root got it.
//   - Whoever gets it has the right to read it at that time.
//   - Who has a subscription and the right to read gets what is published.

// modelRule is a line of an ACL.
type modelRule struct {
	user              string // empty: it is a pattern, for all
	read, write, deny bool
	levels            []string
}

func (m modelRule) line() string {
	words := map[[2]bool]string{{true, false}: "read", {false, true}: "write", {true, true}: "readwrite"}
	word := words[[2]bool{m.read, m.write}]
	if m.deny {
		word = "deny"
	}
	if m.user == "" {
		return "pattern " + word + " " + strings.Join(m.levels, "/") + "\n"
	}
	return "user " + m.user + "\ntopic " + word + " " + strings.Join(m.levels, "/") + "\n"
}

// fits reports whether the rule is about the topic, for this user under this identifier.
func (m modelRule) fits(user, id, topic string) bool {
	if m.user != "" && m.user != user {
		return false
	}
	levels := slices.Clone(m.levels)
	if m.user == "" {
		for i := range levels {
			levels[i] = strings.ReplaceAll(strings.ReplaceAll(levels[i], "%c", id), "%u", user)
		}
	}
	return fitsFilter(levels, strings.Split(topic, "/"))
}

// fitsFilter is the matching of MQTT, in the shortest words.
func fitsFilter(filter, topic []string) bool {
	if strings.HasPrefix(topic[0], "$") && (filter[0] == "#" || filter[0] == "+") {
		return false
	}
	for i, level := range filter {
		if level == "#" {
			return true
		}
		if i == len(topic) || level != "+" && level != topic[i] {
			return false
		}
	}
	return len(filter) == len(topic)
}

type modelRules []modelRule

// may reports whether the user may read, or otherwise write, the topic. Those that start
// with $ are written by the server only.
func (m modelRules) may(user, id string, read bool, topic string) (may bool) {
	if !read && strings.HasPrefix(topic, "$") {
		return false
	}
	for _, rule := range m {
		if !rule.fits(user, id, topic) {
			continue
		}
		if rule.deny {
			return false
		}
		may = may || read && rule.read || !read && rule.write
	}
	return may
}

func (m modelRules) text() string {
	var text strings.Builder
	for _, rule := range m {
		text.WriteString(rule.line())
	}
	return text.String()
}

// modelLevels are easily taken for each other: by case, by normal form, by emptiness, by
// wildcards, by what stands for a name.
var modelLevels = []string{"a", "A", "b", "\u00e9", "e\u0301", "", "$x", "c1", "u2"}

func modelTopic(random *rand.Rand) string {
	levels := make([]string, 1+random.IntN(2)+random.IntN(2)*random.IntN(2))
	for i := range levels {
		levels[i] = modelLevels[random.IntN(len(modelLevels))]
	}
	if topic := strings.Join(levels, "/"); topic != "" {
		return topic
	}
	return "a"
}

// modelFilter may have the levels of extra besides.
func modelFilter(random *rand.Rand, extra ...string) string {
	levels := strings.Split(modelTopic(random), "/")
	for i := range levels {
		switch random.IntN(5) {
		case 0:
			levels[i] = "+"
		case 1:
			levels[i] = append([]string{"+"}, extra...)[random.IntN(1+len(extra))]
		}
	}
	if random.IntN(3) == 0 {
		levels = append(levels, "#")
	}
	return strings.Join(levels, "/")
}

func randomRules(random *rand.Rand) (rules modelRules) {
	for range 2 + random.IntN(8) {
		rule := modelRule{user: fmt.Sprint("u", random.IntN(len(modelUsers))), levels: strings.Split(modelFilter(random), "/")}
		if random.IntN(3) == 0 {
			rule.user, rule.levels = "", strings.Split(modelFilter(random, "%c", "%u"), "/")
		}
		switch random.IntN(5) {
		case 0:
			rule.deny = true
		case 1:
			rule.read = true
		case 2:
			rule.write = true
		default:
			rule.read, rule.write = true, true
		}
		rules = append(rules, rule)
	}
	if random.IntN(2) == 0 { // much is allowed, so that what is not stands out
		for i := range modelUsers {
			rules = append(rules, modelRule{user: fmt.Sprint("u", i), read: true, write: true, levels: []string{"#"}})
		}
	}
	return rules
}

var modelUsers = []wire.Version{wire.V5, wire.V311, wire.V31, wire.V5}

// modelClient is a user with one client identifier.
type modelClient struct {
	m        *rightsModel
	user, id string
	version  wire.Version
	line     *script // nil: it is not connected
	filters  map[string]bool
	clean    bool // the last connection began so
	lazy     bool // acknowledges nothing
	unacked  []wire.Packet
	asked    []string // filters of the SUBSCRIBE under way
	got      []*wire.Publish
	identity uint16
}

type rightsModel struct {
	*realm
	random  *rand.Rand
	rules   modelRules
	clients []*modelClient
	known   map[string]bool // payloads that were accepted
	number  int
	fresh   string // the payload that was published last
	live    int    // messages that a subscriber had to get, and got
	old     int    // messages that were got later: queued, retained, wills
	refused int    // messages that were not accepted
}

// packets takes all packets that have come for s. ended says that the connection has
// ended.
func (m *rightsModel) packets(s *script) (all []wire.Packet, ended bool) {
	for {
		p, err := s.next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return all, false
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed):
			return all, true
		}
		require.NoError(m.t, err)
		all = append(all, p)
	}
}

// settle lets everything happen that is due, and judges it.
func (m *rightsModel) settle() {
	m.t.Helper()
	for range 3 { // answers bring further messages
		synctest.Wait()
		seen, _ := m.packets(m.root)
		for _, p := range seen {
			if p, ok := p.(*wire.Publish); ok && len(p.Payload) > 0 {
				m.accepted(p)
			}
		}
		for _, c := range m.clients {
			c.take()
		}
	}
}

// author takes a payload apart.
func author(payload []byte) (user, id string) {
	parts := strings.Split(string(payload), " ")
	return parts[0], parts[1]
}

// accepted judges what root has got.
func (m *rightsModel) accepted(p *wire.Publish) {
	user, id := author(p.Payload)
	if user == "root" {
		return // see program
	}
	require.True(m.t, m.rules.may(user, id, false, p.Topic), "%s as %s had no right to write %q: %q\n%s", user, id, p.Topic, p.Payload, m.rules.text())
	m.known[string(p.Payload)] = true
}

// take handles what has come for c, and judges the messages.
func (c *modelClient) take() {
	if c.line == nil {
		return
	}
	packets, ended := c.m.packets(c.line)
	for _, p := range packets {
		switch p := p.(type) {
		case *wire.Publish:
			c.judge(p)
			switch p.QoS {
			case wire.AtLeastOnce:
				c.unacked = append(c.unacked, &wire.Puback{PacketID: p.PacketID})
			case wire.ExactlyOnce:
				c.unacked = append(c.unacked, &wire.Pubrec{PacketID: p.PacketID})
			}
		case *wire.Pubrel:
			c.unacked = append(c.unacked, &wire.Pubcomp{PacketID: p.PacketID})
		case *wire.Pubrec:
			if !p.ReasonCode.Failed() {
				c.send(&wire.Pubrel{PacketID: p.PacketID})
			}
		case *wire.Suback:
			for i, code := range p.ReasonCodes {
				if !code.Failed() {
					c.filters[c.asked[i]] = true
				}
			}
		}
	}
	if ended {
		c.line = nil
	} else if !c.lazy {
		c.acknowledge()
	}
}

func (c *modelClient) acknowledge() {
	for _, p := range c.unacked {
		c.send(p)
	}
	c.unacked = nil
}

// send may meet a connection that the broker has ended.
func (c *modelClient) send(p wire.Packet) {
	b, err := p.Append(nil, c.version)
	require.NoError(c.m.t, err)
	_, _ = c.line.net.Write(b)
}

func (c *modelClient) judge(p *wire.Publish) {
	if len(p.Payload) == 0 {
		return
	}
	m := c.m
	require.True(m.t, m.rules.may(c.user, c.id, true, p.Topic), "%s as %s has no right to read %q, and got %q\n%s", c.user, c.id, p.Topic, p.Payload, m.rules.text())
	require.True(m.t, m.known[string(p.Payload)], "%q was never accepted", p.Payload)
	c.got = append(c.got, p)
	if p.Retain || string(p.Payload) != m.fresh {
		m.old++
	}
}

// enter connects, in one of the ways there are.
func (c *modelClient) enter() {
	m := c.m
	connect := as(c.user, durableConnect(c.version, c.id))
	connect.CleanStart = m.random.IntN(4) == 0
	if c.version == wire.V5 && m.random.IntN(2) == 0 {
		connect.ReceiveMaximum = 2
	}
	if m.random.IntN(2) == 0 {
		connect.Will = &wire.Will{Topic: modelTopic(m.random), Payload: m.payload(c), QoS: wire.QoS(m.random.IntN(3)), Retain: m.random.IntN(2) == 0}
		if c.version == wire.V5 {
			connect.Will.DelayInterval = uint32(m.random.IntN(3) * 20)
		}
	}
	if c.line != nil {
		c.line.net.Close() // or it is taken over, see below
	}
	before := c.line
	c.line = dial(m.t, m.b, c.version)
	c.send(connect)
	synctest.Wait()
	p, err := c.line.next()
	if err != nil {
		c.line = nil // a will that is forbidden may be a reason
		return
	}
	ack := p.(*wire.Connack)
	if ack.ReasonCode.Failed() {
		c.line = nil
		return
	}
	if before != nil {
		before.net.Close()
	}
	c.unacked, c.lazy = nil, false
	// 3.1 does not say whether there is a session. Before 5.0 one that began clean is over.
	if !ack.SessionPresent && c.version != wire.V31 || connect.CleanStart || c.version < wire.V5 && c.clean {
		clear(c.filters)
	}
	c.clean = connect.CleanStart
}

// payload names its author and nobody else.
func (m *rightsModel) payload(c *modelClient) []byte {
	m.number++
	return fmt.Appendf(nil, "%s %s %d", c.user, c.id, m.number)
}

func (c *modelClient) next() uint16 {
	c.identity = c.identity%60000 + 1
	return c.identity
}

func (c *modelClient) subscribe() {
	s := &wire.Subscribe{PacketID: c.next()}
	c.asked = nil
	for range 1 + c.m.random.IntN(3) {
		f := modelFilter(c.m.random)
		if c.version == wire.V5 && c.m.random.IntN(4) == 0 {
			f = fmt.Sprintf("$share/g%d/%s", c.m.random.IntN(2), f)
		}
		c.asked = append(c.asked, f)
		s.Filters = append(s.Filters, wire.SubscribeFilter{Filter: f, QoS: wire.QoS(c.m.random.IntN(3))})
	}
	c.send(s)
	c.m.settle()
}

func (c *modelClient) unsubscribe() {
	for _, f := range slices.Sorted(maps.Keys(c.filters)) {
		if c.m.random.IntN(2) == 0 {
			delete(c.filters, f)
			c.send(&wire.Unsubscribe{PacketID: c.next(), Filters: []string{f}})
		}
	}
}

// publish demands that whoever has to get the message gets it.
func (c *modelClient) publish() {
	m := c.m
	p := &wire.Publish{Topic: modelTopic(m.random), Payload: m.payload(c), QoS: wire.QoS(m.random.IntN(3)), Retain: m.random.IntN(3) == 0}
	if p.QoS > 0 {
		p.PacketID = c.next()
	}
	topic, payload := p.Topic, string(p.Payload)
	m.fresh = payload
	if c.version == wire.V5 && m.random.IntN(2) == 0 {
		// An alias hides the topic, and may be set by a message that is refused.
		p.Properties = &wire.PublishProperties{TopicAlias: 1}
		if m.random.IntN(2) == 0 {
			first := *p
			first.Payload, first.QoS, first.PacketID = m.payload(c), 0, 0
			c.send(&first)
			p.Topic = ""
		}
	}
	m.settle()
	for _, other := range m.clients {
		other.got = nil
	}
	c.send(p)
	m.settle()
	if !m.rules.may(c.user, c.id, false, topic) || c.line == nil {
		require.False(m.t, m.known[payload])
		m.refused++
		return
	}
	require.True(m.t, m.known[payload], "%q to %q was not accepted\n%s", payload, topic, m.rules.text())
	for _, other := range m.clients {
		m.present(other, topic, payload)
	}
}

// program publishes as the program, which may everything.
func (m *rightsModel) program() {
	topic := modelTopic(m.random)
	if m.random.IntN(2) == 0 {
		topic = "$x/" + topic
	}
	m.number++
	p := &wire.Publish{Topic: topic, Payload: fmt.Appendf(nil, "root root %d", m.number), QoS: wire.QoS(m.random.IntN(3)), Retain: m.random.IntN(3) == 0}
	m.known[string(p.Payload)] = true
	require.NoError(m.t, m.b.Publish(p))
}

// present demands that c has got the message, if it had to, and counts.
func (m *rightsModel) present(c *modelClient, topic, payload string) {
	got := slices.ContainsFunc(c.got, func(p *wire.Publish) bool { return string(p.Payload) == payload })
	wants := func(f string) bool {
		return !strings.HasPrefix(f, "$share/") && fitsFilter(strings.Split(f, "/"), strings.Split(topic, "/"))
	}
	if c.line == nil || c.lazy || !m.rules.may(c.user, c.id, true, topic) || !slices.ContainsFunc(slices.Collect(maps.Keys(c.filters)), wants) {
		return
	}
	require.True(m.t, got, "%s as %s did not get %q to %q\n%s", c.user, c.id, payload, topic, m.rules.text())
	m.live++
}

// steal tries to enter as somebody else's client.
func (c *modelClient) steal() {
	thief := fmt.Sprint("u", c.m.random.IntN(len(modelUsers)))
	if thief == c.user || c.m.b.Stats().Sessions == 0 {
		return
	}
	owned := slices.ContainsFunc(c.m.b.Clients(), func(i ClientInfo) bool { return i.Peer.ClientID == c.id })
	if !owned {
		return
	}
	s := dial(c.m.t, c.m.b, c.version)
	s.send(as(thief, durableConnect(c.version, c.id)))
	require.True(c.m.t, receive[*wire.Connack](s).ReasonCode.Failed(), "the identifier belongs to somebody else")
	s.net.Close()
}

// begin starts the broker, and subscribes root to everything, whatever the rules say.
func (m *rightsModel) begin() {
	all := AuthorizerFunc(func(_ context.Context, a *Access) Decision {
		if a.Peer.Username == "root" {
			return Allow()
		}
		return Pass()
	})
	m.cfg.Authorizers = []Authorizer{all, m.acl}
	m.start()
	m.root.subscribe(wire.SubscribeFilter{Filter: "#", RetainHandling: wire.DontSendRetained}, wire.SubscribeFilter{Filter: "$x/#", RetainHandling: wire.DontSendRetained})
}

// act does something.
func (m *rightsModel) act() {
	c := m.clients[m.random.IntN(len(m.clients))]
	switch n := m.random.IntN(20); {
	case n == 0:
		m.rules = randomRules(m.random)
		m.rule(m.rules.text())
	case n == 1:
		advance(time.Duration(m.random.IntN(40)) * time.Second)
	case n == 2 && m.cfg.Store != nil:
		m.restarted()
	case n == 3:
		c.steal()
	case n == 10:
		m.program()
	case c.line == nil || n == 4:
		c.enter()
	case n == 5:
		c.line.net.Close()
		c.line = nil
	case n == 6:
		c.send(&wire.Disconnect{})
		c.line.net.Close()
		c.line = nil
	case n == 7:
		c.lazy = true
	case n == 8:
		c.lazy = false
		c.acknowledge()
	case n == 9:
		c.unsubscribe()
	case n < 14:
		c.subscribe()
	default:
		c.publish()
	}
	m.settle()
}

// restarted begins with other rules and what the store has.
func (m *rightsModel) restarted() {
	// The wills of those who are cut go first, under the old rules.
	for _, c := range m.clients {
		if c.line != nil {
			c.line.net.Close()
			c.line = nil
		}
	}
	m.settle()
	require.NoError(m.t, m.b.Close())
	m.rules = randomRules(m.random)
	m.rule(m.rules.text())
	m.begin()
}

const rightsSchedules = 60

func TestNobodyGetsRoundTheRules(t *testing.T) {
	var accepted, refused, live, old int
	for seed := range uint64(rightsSchedules) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 15))
			m := &rightsModel{random: random, rules: randomRules(random), known: make(map[string]bool)}
			m.realm = newRealm(t, wire.V5, m.rules.text())
			if seed%2 == 1 {
				m.cfg.Store = store.Memory()
			}
			m.begin()
			for i, v := range modelUsers {
				m.clients = append(m.clients, &modelClient{m: m, user: fmt.Sprint("u", i), id: fmt.Sprint("c", i), version: v, filters: make(map[string]bool)})
			}
			for range 200 {
				m.act()
			}
			accepted, refused, live, old = accepted+len(m.known), refused+m.refused, live+m.live, old+m.old
			m.healthy()
			require.NoError(t, m.b.Close())
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d messages accepted, %d refused, %d deliveries that had to be, %d of old messages and wills", accepted, refused, live, old)
	for _, n := range []int{accepted, refused, live, old} {
		require.Greater(t, n, 5*rightsSchedules)
	}
}
