package fuzztest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// FuzzBroker plays a script of several clients to the broker, which send any packets and
// any bytes, go deaf and hang up. Two honest clients lose nothing and see nothing of it,
// rights hold, and in the end the broker has no more than before.
func FuzzBroker(f *testing.F) {
	for _, script := range brokerScripts {
		for options := range byte(8) {
			f.Add(append([]byte{options * 33}, script...))
		}
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1000 {
			return
		}
		synctest.Test(t, func(t *testing.T) { playBroker(t, NewChoices(script)) })
	})
}

// brokerScripts are where the fuzzer begins, see house.step. In each, one client
// subscribes and another publishes.
var brokerScripts = []string{
	"",
	subscribes("\x00") + strings.Repeat(publishes, 4) + "\x09\x00\x00",
	subscribes("\x01") + "\x07\x00\x00" + strings.Repeat(publishes, 4) + "\x07\x00\x00", // does not acknowledge
	subscribes("\x02") + "\x07\x00\x01" + strings.Repeat(publishes, 4) + "\x07\x00\x00", // is deaf
	subscribes("\x03") + strings.Repeat(publishes, 3) + "\x06\x00\x00" + publishes + subscribes("\x03"),
	subscribes("\x04") + "\x06\x00\x00" + "\x08\x00\x02" + "\x09\x00\x02",
	subscribes("\x05") + publishes + "\x0a\x00\x00\x02" + publishes + "\x08\x00\x03",
	"\x01\x00\x0c\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00\x02\x04\x00\x00\x00\x05\x01\x01\x01",
}

// subscribes lets the first client connect, as one of the presets, and subscribe to "a",
// and the second connect.
func subscribes(preset string) string {
	return "\x00\x00" + preset + "\x00\x00\x00\x00" + "\x02\x00\x01\x00\x00\x01\x00\x00" + "\x00\x01\x00\x00\x00\x01\x00"
}

// publishes lets the second client publish to "a" at QoS 1.
const publishes = "\x02\x01\x00\x00\x01\x00\x01\x00"

// presets are CONNECTs of intruders.
var presets = []wire.Connect{
	{CleanStart: true}, {ReceiveMaximum: 1, SessionExpiryInterval: 100}, {MaximumPacketSize: 30, TopicAliasMaximum: 1},
	{SessionExpiryInterval: 1000, KeepAlive: 10}, {Will: &wire.Will{Topic: "secret/x", QoS: 2, Retain: true}, KeepAlive: 5},
	{AuthenticationMethod: "M", Will: &wire.Will{Topic: "a", DelayInterval: 10}, SessionExpiryInterval: 100},
}

// rights keep clients without a name away from what honest ones have.
const rights = `
topic readwrite #
topic deny secret/#
topic deny honest/#
user good
topic readwrite #
`

// house is a broker with its honest clients and its intruders.
type house struct {
	t         *testing.T
	broker    *broker.Broker
	intruders [4]*intruder
	honest    [2]*mqtt.Client
	messages  <-chan *mqtt.Message
	count     int
	memory    int // in use before
}

func brokerConfig(t *testing.T, c *Choices) broker.Config {
	acl, err := broker.ParseACL(strings.NewReader(rights))
	if err != nil {
		t.Fatal(err)
	}
	cfg := broker.Config{
		MaximumPacketSize: 1 << 16, SubscriptionsPerClient: 10, TopicLevels: 20, Inflight: 4, ReceiveMaximum: 4, Sessions: 40,
		QueuedMessages: 10, QueuedBytes: 1 << 16, RetainedMessages: 10, RetainedBytes: 1 << 16, SessionExpiryMaximum: time.Hour,
		Authenticators: []broker.Authenticator{broker.AllowAll{}}, EnhancedAuthenticators: []broker.EnhancedAuthenticator{challenge{}},
		Authorizers: []broker.Authorizer{acl}, StatusInterval: time.Minute,
	}
	bits := c.Byte()
	if bits&1 != 0 {
		cfg.Store = store.Memory()
	}
	cfg.NoRetained, cfg.NoShared, cfg.NoWildcards = bits&2 != 0, bits&4 != 0, bits&8 != 0
	cfg.NoSubscriptionIDs = bits&16 != 0
	if bits&32 != 0 {
		cfg.TopicAliasMaximum, cfg.TopicAliasesSent = -1, -1
	}
	return cfg
}

// challenge asks once and takes every answer but one.
type challenge struct{}

func (challenge) AuthenticationMethod() string { return "M" }

func (challenge) Begin(*broker.Login) broker.Exchange { return new(asked) }

type asked struct{ n int }

func (a *asked) Next(_ context.Context, data []byte) ([]byte, broker.Decision) {
	switch a.n++; {
	case a.n == 1:
		return []byte("?"), broker.Pass()
	case string(data) == "a":
		return nil, broker.Deny(wire.NotAuthorized, "")
	}
	return nil, broker.Allow()
}

func playBroker(t *testing.T, c *Choices) {
	h := openHouse(t, brokerConfig(t, c))
	for i := 0; i < most && c.More() && !t.Failed(); i++ {
		h.step(c)
		synctest.Wait()
	}
	h.bounded()
	h.clear()
	h.tell(mqtt.ExactlyOnce)
	h.leave()
}

// openHouse opens a broker with two honest clients.
func openHouse(t *testing.T, cfg broker.Config) *house {
	b, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, broker: b}
	h.moveIn()
	return h
}

// leave ends everything.
func (h *house) leave() {
	for _, i := range h.intruders {
		if i != nil {
			i.end()
		}
	}
	for _, client := range h.honest {
		if n := client.Stats().Connections; n != 1 {
			h.t.Errorf("an honest client had %d connections", n)
		}
		client.Close()
	}
	if err := h.broker.Close(); err != nil {
		h.t.Error(err)
	}
}

// moveIn lets the honest clients connect.
func (h *house) moveIn() {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return h.broker.Dial(ctx) }
	for i := range h.honest {
		client, err := mqtt.Connect(h.t.Context(), "mqtt://broker", mqtt.Config{
			ClientID: fmt.Sprint("good", i), Username: "good", Dial: dial, KeepAlive: -1,
		})
		if err != nil {
			h.t.Fatal(err)
		}
		h.honest[i] = client
	}
	sub, err := h.honest[0].SubscribeWith(h.t.Context(), mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: "honest/x", QoS: mqtt.ExactlyOnce}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.messages = sub.Messages()
	h.tell(mqtt.ExactlyOnce) // what an exchange needs is kept
	synctest.Wait()
	h.memory = h.broker.Stats().Memory
}

// step is one step of a script.
func (h *house) step(c *Choices) {
	what, at := c.N(12), c.N(len(h.intruders))
	i := h.intruders[at]
	switch {
	case what == 0 || i == nil && what < 8:
		h.intrude(c, at)
	case what == 1:
		i.bytes(c.Bytes(64))
	case what < 6:
		h.packet(c, i)
	case what == 6:
		c.hangUp(i)
	case what == 7:
		i.mu.Lock()
		i.polite = !i.polite
		i.mu.Unlock()
		i.hear(c.Bool())
	case what == 8:
		time.Sleep(Pick(c, time.Second, 10*time.Second, time.Minute, time.Hour))
	case what == 9:
		h.tell(c.qos())
	default:
		h.program(c)
	}
}

// hangUp ends a connection, or one direction of it.
func (c *Choices) hangUp(i *intruder) {
	if c.Bool() {
		i.half()
		return
	}
	i.end()
}

// intrude makes a connection, and connects.
func (h *house) intrude(c *Choices, at int) {
	if old := h.intruders[at]; old != nil {
		old.end()
	}
	nc, err := h.broker.Dial(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	i := newIntruder(nc, h.t.Errorf)
	h.intruders[at] = i
	preset := Pick(c, presets...)
	p := &preset
	c.Fill(p)
	p.Version = Pick(c, wire.V5, wire.V311, wire.V31)
	p.ClientID = Pick(c, "c1", "c2", "", "good0", "good1")
	if p.Username != nil && *p.Username == "good" {
		p.Username = nil
	}
	if c.N(8) == 7 {
		return // says nothing yet
	}
	i.send(p)
}

// packet sends a packet of a client.
func (h *house) packet(c *Choices, i *intruder) {
	p := c.Packet(
		wire.TypePublish, wire.TypeSubscribe, wire.TypePuback, wire.TypePubrec, wire.TypePubrel, wire.TypePubcomp,
		wire.TypeUnsubscribe, wire.TypePingreq, wire.TypeAuth, wire.TypeDisconnect, wire.TypePublish, wire.TypeSubscribe, wire.TypeConnect)
	if connect, ok := p.(*wire.Connect); ok {
		connect.Version = wire.V5
		connect.Username = nil
	}
	SetPacketID(p, uint16(1+c.N(5)))
	for range 1 + c.N(16)/14*10 {
		i.send(p)
	}
}

// program does what the program around the broker can do.
func (h *house) program(c *Choices) {
	switch id := Pick(c, "c1", "c2", ""); c.N(6) {
	case 0:
		h.broker.Disconnect(id, Pick(c, wire.AdministrativeAction, wire.ServerShuttingDown))
	case 1:
		h.broker.Release(id)
	case 2:
		h.broker.Reauthorize()
	case 3:
		if sub, err := h.broker.Subscribe(c.Text(), 1); err == nil {
			defer sub.Close()
			synctest.Wait()
		}
	default:
		p := c.Packet(wire.TypePublish).(*wire.Publish)
		p.Retain = p.Retain && !strings.HasPrefix(p.Topic, "$") // what "#" does not match
		if !strings.HasPrefix(p.Topic, "honest/") {
			_ = h.broker.Publish(p) // which may be refused
		}
	}
}

// tell lets one honest client send to the other.
func (h *house) tell(qos mqtt.QoS) {
	h.t.Helper()
	h.count++
	want := fmt.Sprint("message ", h.count)
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	if err := h.honest[1].Publish(ctx, "honest/x", []byte(want), qos); err != nil {
		h.t.Errorf("an honest message: %v", err)
		return
	}
	select {
	case m := <-h.messages:
		if m == nil || string(m.Payload) != want {
			h.t.Errorf("an honest client got %+v instead of %q", m, want)
		}
	case <-ctx.Done():
		h.t.Errorf("an honest client did not get %q", want)
	}
}

// bounded checks the limits.
func (h *house) bounded() {
	s := h.broker.Stats()
	if s.Retained > 10 || s.Sessions > 40 || s.Subscriptions > 40*10 || s.Connections > len(h.intruders)+300 {
		h.t.Errorf("beyond the limits: %+v", s)
	}
}

// clear lets all intruders go, and their sessions expire, and checks that nothing of them
// stays.
func (h *house) clear() {
	for _, i := range h.intruders {
		if i != nil {
			i.end()
		}
	}
	time.Sleep(3 * time.Hour)
	synctest.Wait()
	h.forgetRetained()
	s := h.broker.Stats()
	if s.Connections != 2 || s.Connected != 2 || s.Sessions != 2 || s.Retained != 0 || s.Memory != h.memory {
		h.t.Errorf("something is left, and %d bytes were in use: %+v", h.memory, s)
	}
}

// forgetRetained deletes all retained messages.
func (h *house) forgetRetained() {
	sub, err := h.broker.Subscribe("#", 100)
	if err != nil {
		h.t.Fatal(err)
	}
	synctest.Wait()
	sub.Close()
	for p := range sub.Messages() {
		if err := h.broker.Publish(&wire.Publish{Topic: p.Topic, Retain: true}); p.Retain && err != nil {
			h.t.Error(err)
		}
	}
}
