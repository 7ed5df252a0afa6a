package fuzztest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// FuzzClient plays a script to the whole client: a server that sends any packets and any
// bytes at any time, goes deaf, hangs up and refuses, and a program that does everything
// that programs do. Afterwards the server is a good one, and the client has to be as good
// as new, unless the script has ended it.
func FuzzClient(f *testing.F) {
	for _, script := range clientScripts {
		for settings := range byte(16) {
			f.Add(append([]byte{settings, settings * 37, settings * 5, settings}, script...))
		}
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1000 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.play(NewChoices(script), clientStep, func(c *Choices, cfg *mqtt.Config) {
				settings(c, cfg)
				welcome := Pick(c, welcomes...)
				w.server.behave(func(m *manners) { m.welcomes = welcome })
			})
		})
	})
}

// clientScripts are where the fuzzer begins. The first byte of each step says what
// happens, see clientStep.
var clientScripts = []string{
	"",
	"\x00\x01\x00\x00\x00\x00\x00" + "\x00\x01\x00\x01\x00\x02\x00" + "\x00\x01\x00\x02\x03\x02\x00" + "\x0b\x00",
	"\x09\x02" + strings.Repeat("\x00\x01\x00\x01\x03\x02\x00", 5) + "\x0b\x00" + "\x09\x00", // withheld acknowledgements
	"\x01\x00\x00\x01\x00\x00\x00\x00" + "\x0a\x00\x01\x00\x01\x00\x00" + "\x0a\x00\x02\x00\x02\x00\x00",
	"\x01\x00\x00\x02\x0d\x00\x00\x00" + strings.Repeat("\x0a\x00\x01\x00\x01\x00\x06", 3) + "\x02\x0a\x00" + "\x0b\x00",
	"\x01\x01\x04\x01\x01\x01\x00\x00\x00\x00" + "\x08\x01" + "\x02\x08\x00\x00\x00",
	"\x09\x10" + "\x00\x01\x00\x01\x05\x02\x00" + "\x08\x03" + "\x09\x00",
	"\x07\x04\x40\x02\x00\x01" + "\x07\x04\x50\x02\x00\x01" + "\x07\x04\xf0\x02\x18\x00",
}

// welcomes are what the server may say in CONNACK until a script changes it.
var welcomes = []wire.Connack{
	{}, {}, {ReceiveMaximum: 1}, {ReceiveMaximum: 2, TopicAliasMaximum: 1}, {MaximumPacketSize: 40}, {MaximumPacketSize: 200, TopicAliasMaximum: 2},
	{MaximumQoS: new(wire.AtMostOnce), RetainAvailable: new(false)}, {MaximumQoS: new(wire.AtLeastOnce), ServerKeepAlive: new(uint16(1))},
	{WildcardSubscriptionAvailable: new(false), SharedSubscriptionAvailable: new(false)}, {SubscriptionIDAvailable: new(false)},
	{AssignedClientID: "s1", SessionExpiryInterval: new(uint32(0))}, {SessionPresent: true}, {ServerKeepAlive: new(uint16(0)), ReceiveMaximum: 3},
}

// settings chooses a configuration.
func settings(c *Choices, cfg *mqtt.Config) {
	cfg.Version = Pick(c, mqtt.Auto, mqtt.V5, mqtt.V311, mqtt.V31)
	bits := c.Byte()
	cfg.Resume = bits&1 != 0
	if bits&2 != 0 {
		cfg.Store = store.Memory()
	}
	if bits&4 != 0 {
		cfg.QueueMessages, cfg.QueueBytes, cfg.Inflight = 3, 1000, 2
	}
	if bits&8 != 0 {
		cfg.ReceiveMaximum, cfg.TopicAliasMaximum, cfg.SendTopicAliases = 2, 2, 2
	}
	cfg.FailOnSessionLoss = bits&16 != 0
	cfg.RetryRefused, cfg.LowerQoS = bits&32 != 0, bits&32 != 0
	if bits&64 != 0 && cfg.Version != mqtt.V31 && cfg.Version != mqtt.V311 {
		cfg.Authenticator = authenticator{}
	}
	cfg.AcknowledgeOutOfOrder = bits&128 != 0
	policy := c.N(4)
	cfg.WhenFull = mqtt.WhenFull{AtMostOnce: mqtt.FullPolicy(policy), Acknowledged: mqtt.FullPolicy(3 - policy)}
}

// clientStep is one step of FuzzClient.
func clientStep(c *Choices, w *world) {
	switch what := c.N(12); what {
	case 0:
		w.program.publish(c)
	case 1:
		w.program.subscribe(c)
	case 2, 3:
		w.program.act(c)
	case 4, 5, 6:
		w.packet(c, serverPackets...)
	case 7:
		w.bytes(c)
	case 8:
		w.time(c)
	case 9:
		w.manners(c)
	case 10:
		w.packet(c, wire.TypePublish)
	default:
		w.cut(c)
	}
}

var serverPackets = []wire.PacketType{
	wire.TypePuback, wire.TypePubrec, wire.TypePubrel, wire.TypePubcomp, wire.TypeSuback, wire.TypeUnsuback,
	wire.TypeConnack, wire.TypePublish, wire.TypePingresp, wire.TypeDisconnect, wire.TypeAuth,
}

// authenticator answers every challenge.
type authenticator struct{}

func (authenticator) Method() string { return "M" }

func (a authenticator) Start(context.Context) (mqtt.AuthExchange, []byte, error) {
	return a, []byte("begin"), nil
}

func (authenticator) Continue(_ context.Context, challenge []byte) ([]byte, error) {
	if bytes.HasPrefix(challenge, []byte("a")) {
		return nil, errHandler
	}
	return challenge, nil
}

func (authenticator) Finish(context.Context, []byte) error { return nil }

// world is a client with its program and its server.
type world struct {
	t       *testing.T
	server  *server
	program *program
	cfg     mqtt.Config
	tags    int
}

// most is how many steps a script has at most.
const most = 60

// newWorld returns a world in which nothing has happened.
func newWorld(t *testing.T) *world {
	s := newServer(t.Errorf)
	return &world{t: t, server: s, cfg: s.config()}
}

// play runs a script and checks what has to hold at its end.
func (w *world) play(c *Choices, step func(*Choices, *world), settings func(*Choices, *mqtt.Config)) {
	settings(c, &w.cfg)
	w.start()
	for i := 0; i < most && c.More() && !w.t.Failed(); i++ {
		w.server.allow(20)
		step(c, w)
		synctest.Wait()
		w.bounded()
	}
	w.heal()
	w.end()
}

// start starts the client.
func (w *world) start() {
	client, err := mqtt.Start("mqtt://10.0.0.1", w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.run(client)
}

// run begins the program with its client.
func (w *world) run(client *mqtt.Client) {
	ctx, cancel := context.WithCancel(context.Background())
	w.program = &program{
		s: w.server, client: client, ctx: ctx, stop: cancel, subs: make(chan *mqtt.Subscription, most), got: map[string]int{},
	}
	synctest.Wait()
}

// end ends the program and the client, and checks how calls have ended.
func (w *world) end() {
	w.program.stop()
	begun := time.Now()
	w.program.client.Close()
	if took := time.Since(begun); took > instant {
		w.t.Errorf("Close took %v", took)
	}
	synctest.Wait()
	w.settled()
	w.server.hangUp()
}

// packet sends one of these packets, with an identifier that may mean something.
func (w *world) packet(c *Choices, types ...wire.PacketType) {
	p := c.Packet(types...)
	peer := w.server.last()
	if peer == nil {
		return
	}
	id := uint16(1 + c.N(4))
	if c.N(16) == 15 {
		id = uint16(c.number())
	}
	SetPacketID(p, id)
	if m, ok := p.(*wire.Publish); ok {
		w.tags++
		m.Payload = append(m.Payload, byte(w.tags), byte(w.tags>>8))
		if c.N(8) == 7 {
			m.Payload = append(m.Payload, "fails"...)
		}
	}
	for range 1 + c.N(8)/6 {
		peer.send(p)
	}
}

// bytes sends any bytes.
func (w *world) bytes(c *Choices) {
	if peer := w.server.last(); peer != nil {
		peer.sendBytes(c.Bytes(64))
	}
}

// time lets time pass.
func (w *world) time(c *Choices) {
	d := Pick(c, time.Millisecond, time.Second, 10*time.Second, time.Minute, 10*time.Minute)
	w.server.allow(20 + 10*int(d/time.Second))
	time.Sleep(d)
}

// manners changes what the server does by itself.
func (w *world) manners(c *Choices) {
	bits := c.Byte()
	welcome := w.server.welcome()
	if bits&64 != 0 {
		welcome = *c.Packet(wire.TypeConnack).(*wire.Connack)
	}
	w.server.behave(func(m *manners) {
		*m = manners{
			accept: bits&1 == 0, confirm: bits&2 == 0, grant: bits&4 == 0, pong: bits&8 == 0,
			deaf: bits&16 != 0, refuse: bits&32 != 0, welcomes: welcome,
		}
	})
}

// cut ends the connection, or one direction of it.
func (w *world) cut(c *Choices) {
	peer := w.server.last()
	if peer == nil {
		return
	}
	if c.N(4) == 3 {
		if err := peer.net.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			w.t.Error(err)
		}
		return
	}
	peer.end()
}

// bounded checks what the client keeps.
func (w *world) bounded() {
	stats := w.program.client.Stats()
	if most := w.cfg.QueueMessages; most > 0 && stats.Queued > most {
		w.t.Errorf("%d messages are queued, the limit is %d", stats.Queued, most)
	}
	if most := w.cfg.QueueBytes; most > 0 && stats.QueuedBytes > most && stats.Queued > 1 {
		w.t.Errorf("%d bytes are queued, the limit is %d", stats.QueuedBytes, most)
	}
	if most := w.cfg.Inflight; most > 0 && stats.Inflight > most {
		w.t.Errorf("%d messages are in flight, the limit is %d", stats.Inflight, most)
	}
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	if s := w.server; s.packets > 1000+10*s.frames+100*len(s.dialled)+100*len(w.program.calls) {
		w.t.Errorf("the client sent %d packets for %d of the server and %d calls", s.packets, s.frames, len(w.program.calls))
	}
}

// heal makes the server a good one. A client that lives then does all that it is asked.
func (w *world) heal() {
	w.server.allow(1000)
	w.server.behave(func(m *manners) { *m = good })
	w.server.hangUp()
	time.Sleep(time.Hour)
	client := w.program.client
	if client.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := client.WaitConnected(ctx); err != nil {
		if client.Err() == nil {
			w.t.Errorf("the client does not come back: %v", err)
		}
		return
	}
	m := w.program.message(NewChoices(nil))
	if err := client.Publish(ctx, m.Topic, m.Payload, mqtt.AtLeastOnce); err != nil && client.Err() == nil {
		w.t.Errorf("a message to a good server failed: %v", err)
	}
}

// settled checks that every call has ended as it should.
func (w *world) settled() {
	p := w.program
	for _, c := range p.calls {
		select {
		case <-c.done:
		default:
			w.t.Errorf("%s has not returned", c.name)
			continue
		}
		if c.err == nil {
			continue
		}
		if c.name != subscribeApart && !p.documented(c.err) {
			w.t.Errorf("%s returned %T: %v", c.name, c.err, c.err)
		}
		if text := c.err.Error(); strings.Count(text, "mqtt: ") > 1 {
			w.t.Errorf("%s: %q says mqtt twice", c.name, text)
		}
	}
	w.delivered()
	if !errors.Is(p.client.Err(), mqtt.ErrClosed) && p.client.Err() == nil {
		w.t.Error("the client has no error after its end")
	}
}

// delivered checks that messages are on both sides of the wire.
func (w *world) delivered() {
	s := w.server
	s.mu.Lock()
	defer s.mu.Unlock()
	for payload, m := range s.published {
		lied := s.wasDeaf && len(payload) > buffer // to what it had only a part of
		if m.waited == nil || m.waited.err != nil || m.qos == mqtt.AtMostOnce || lied {
			continue
		}
		acknowledged := false
		for _, id := range m.ids {
			acknowledged = acknowledged || s.acks[id] > 0
		}
		if !acknowledged {
			w.t.Errorf("%.20q was not acknowledged, and the program was told that it is; identifiers %v", payload, m.ids)
		}
	}
	for key, n := range w.program.got {
		_, payload, _ := strings.Cut(key, " ")
		if n > s.sent[payload] {
			w.t.Errorf("%q came %d times, and was sent %d times", payload, n, s.sent[payload])
		}
	}
}
