package conformance_test

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/mqtttest/conformance"
	"github.com/seed65a45251/mqtt/wire"
)

// planted is something that a bad server does. It is a good broker behind a connection that changes
// what it gets and what it sends.
type planted struct {
	does string
	// gets changes a packet of the client, and sends one of the server. They return what goes on, nil
	// for nothing. A nil function changes nothing.
	gets, sends func(wire.Packet) wire.Packet
	// swallows leaves out what cannot be decoded, as a server does that does not check.
	swallows bool
	// parts says DISCONNECT for a client that is cut off.
	parts  bool
	breaks []string // the statements that have to fail, in each version that has them
	only5  bool     // what it does is not possible before 5.0
}

// change makes a function of planted that looks at packets of one type only.
func change[T wire.Packet](f func(T)) func(wire.Packet) wire.Packet {
	return func(p wire.Packet) wire.Packet {
		if found, ok := p.(T); ok {
			f(found)
		}
		return p
	}
}

// lose makes a function of planted that leaves out packets of one type.
func lose(t wire.PacketType) func(wire.Packet) wire.Packet {
	return func(p wire.Packet) wire.Packet {
		if p.Type() == t {
			return nil
		}
		return p
	}
}

// oneIn leaves out one PUBLISH of n.
func oneIn(n int) func(wire.Packet) wire.Packet {
	var mu sync.Mutex
	count := 0
	return func(p wire.Packet) wire.Packet {
		mu.Lock()
		defer mu.Unlock()
		if p.Type() == wire.TypePublish {
			if count++; count%n == 0 {
				return nil
			}
		}
		return p
	}
}

func properties(p *wire.Publish) *wire.PublishProperties {
	if p.Properties == nil {
		p.Properties = &wire.PublishProperties{}
	}
	return p.Properties
}

var plants = []planted{
	{does: "does not check what it gets", swallows: true, breaks: []string{
		"packet type 0", "CONNACK from a client", "PINGRESP from a client", "reserved bits of PINGREQ", "reserved bits of PUBREL", "PINGREQ with a body",
		"identifier 0 of PUBLISH", "topic that is no UTF-8", "topic with U+0000", "empty topic", "topic longer than PUBLISH", "PUBACK that ends early",
		"property of PUBLISH twice", "unknown property of PUBLISH", "payload format 2", "code of PUBACK", "QoS 3", "subscription identifier from a client",
		"reserved bits of SUBSCRIBE", "SUBSCRIBE without filter", "reserved options of SUBSCRIBE", "QoS 3 in SUBSCRIBE", "Retain Handling 3", "subscription identifier 0",
		"# in the wrong place", "empty filter", "shared filter", "No Local on a shared subscription", "UNSUBSCRIBE without filter", "UNSUBSCRIBE that is no UTF-8",
		"reserved bits of DISCONNECT", "reserved bits of AUTH", "response topic with wildcards", "alias out of range", "will after a fault",
	}},
	{does: "says that there is no session", sends: change(func(p *wire.Connack) { p.SessionPresent = false }), breaks: []string{"session goes on", "messages for an absent client"}},
	{does: "says that there is a session", sends: change(func(p *wire.Connack) { p.SessionPresent = !p.ReasonCode.Failed() }), breaks: []string{"session begins", "Clean Start", "session ends with its connection"}},
	{does: "keeps all sessions", gets: change(func(p *wire.Connect) {
		if p.CleanStart = false; p.Version == wire.V5 {
			p.SessionExpiryInterval = 60
		}
	}), breaks: []string{"Clean Start", "session ends with its connection"}},
	{does: "keeps no session", gets: change(func(p *wire.Connect) { p.CleanStart = true }), breaks: []string{"session goes on", "session is kept", "messages for an absent client", "PUBLISH is repeated", "PUBREL is repeated", "order of repeats", "order of kept messages", "once over a connection"}},
	{does: "tells sessions apart by nothing", gets: change(func(p *wire.Connect) { p.ClientID = "one for all" }), breaks: []string{"sessions have their own identifier"}},
	{does: "answers no PINGREQ", sends: lose(wire.TypePingresp), breaks: []string{"PINGRESP"}},
	{does: "sends no PUBACK", sends: lose(wire.TypePuback), breaks: []string{"PUBACK", "answers to PUBLISH"}},
	{does: "sends no PUBREC", sends: lose(wire.TypePubrec), breaks: []string{"PUBREC", "answers to PUBLISH"}},
	{does: "sends no PUBREL", sends: lose(wire.TypePubrel), breaks: []string{"PUBREL", "PUBREC again"}},
	{does: "sends no PUBCOMP", sends: lose(wire.TypePubcomp), breaks: []string{"PUBCOMP", "PUBREL without message"}},
	{does: "answers PUBLISH under another identifier", sends: change(func(p *wire.Puback) { p.PacketID++ }), breaks: []string{"PUBACK", "identifiers of answers"}},
	{does: "answers SUBSCRIBE under another identifier", sends: change(func(p *wire.Suback) { p.PacketID++ }), breaks: []string{"SUBACK"}},
	{does: "answers UNSUBSCRIBE under another identifier", sends: change(func(p *wire.Unsuback) { p.PacketID++ }), breaks: []string{"UNSUBACK"}},
	{does: "leaves out a code of SUBACK", sends: change(func(p *wire.Suback) { p.ReasonCodes = p.ReasonCodes[:max(1, len(p.ReasonCodes)-1)] }), breaks: []string{"SUBACK codes", "many filters in one SUBSCRIBE"}},
	{does: "grants more than was asked for", sends: change(func(p *wire.Suback) { p.ReasonCodes[0] = wire.GrantedQoS2 }), breaks: []string{"SUBACK codes", "QoS of messages"}},
	{does: "turns the codes of UNSUBACK", sends: change(func(p *wire.Unsuback) {
		slices.Reverse(p.ReasonCodes)
		p.ReasonCodes = append(p.ReasonCodes[1:], p.ReasonCodes[0])
	}), breaks: []string{"UNSUBACK codes"}},
	{does: "never sets DUP", sends: change(func(p *wire.Publish) { p.Duplicate = false }), breaks: []string{"PUBLISH is repeated"}},
	{does: "always sets DUP", sends: change(func(p *wire.Publish) { p.Duplicate = p.QoS > 0 }), breaks: []string{"first transmission", "DUP is not passed on"}},
	{does: "never sets RETAIN", sends: change(func(p *wire.Publish) { p.Retain = false }), breaks: []string{"retained message", "will as it was given"}},
	{does: "always sets RETAIN", sends: change(func(p *wire.Publish) { p.Retain = true }), breaks: []string{"RETAIN of live messages", "Retain As Published"}},
	{does: "keeps no retained message", gets: change(func(p *wire.Publish) { p.Retain = false }), breaks: []string{"retained message", "all retained messages", "retained messages and sessions", "retained message again"}},
	{does: "keeps every message as a retained one", gets: change(func(p *wire.Publish) { p.Retain = true }), breaks: []string{"message without RETAIN"}},
	{does: "sends at QoS 1 at most", gets: change(func(p *wire.Publish) { p.QoS = min(p.QoS, 1) }), breaks: []string{"answers to PUBLISH"}},
	{does: "loses one message in seven", sends: oneIn(7), breaks: []string{"order of messages"}},
	{does: "passes nothing on", sends: lose(wire.TypePublish), breaks: []string{"all matching subscribers", "matching", "topics keep their bytes", "own messages", "aliases are accepted", "split and joined packets", "empty will", "DISCONNECT with Will Message", "will delay", "will and end of session", "properties of a retained message", "replacing loses nothing", "one member for each message"}},
	{does: "writes topics in capitals", sends: change(func(p *wire.Publish) { p.Topic = strings.ToUpper(p.Topic) }), breaks: []string{"topics match", "all matching subscribers"}},
	{does: "cuts payloads", sends: change(func(p *wire.Publish) { p.Payload = p.Payload[:min(len(p.Payload), 100)] }), breaks: []string{"payload is not looked at"}},
	{does: "turns user properties", sends: change(func(p *wire.Publish) { slices.Reverse(properties(p).UserProperties) }), breaks: []string{"properties are passed on", "properties of a retained message", "properties of the will"}},
	{does: "forgets how long a message has waited", sends: change(func(p *wire.Publish) { properties(p).MessageExpiryInterval = new(uint32(1000)) }), breaks: []string{"expiry counts down"}},
	{does: "lets no message expire", gets: change(func(p *wire.Publish) { properties(p).MessageExpiryInterval = nil }), breaks: []string{"expired messages", "retained messages expire"}},
	{does: "sends no subscription identifiers", sends: change(func(p *wire.Publish) { properties(p).SubscriptionIDs = nil }), breaks: []string{"subscription identifiers"}},
	{does: "sends aliases", sends: change(func(p *wire.Publish) { properties(p).TopicAlias = 5 }), breaks: []string{"no aliases unasked", "aliases within the client's maximum"}},
	{does: "explains everything", sends: explain, breaks: []string{"problem information", "SUBACK that fits", "acknowledgements that fit"}},
	{does: "explains refusals at length", sends: change(func(p *wire.Disconnect) { p.ReasonString = strings.Repeat("x", 300) }), breaks: []string{"DISCONNECT that fits"}},
	{does: "says much in CONNACK", sends: change(func(p *wire.Connack) { p.ReasonString = strings.Repeat("x", 300); p.ResponseInformation = "r" }), breaks: []string{"CONNACK that fits", "response information"}},
	{does: "assigns one identifier to all", sends: change(func(p *wire.Connack) { p.AssignedClientID = "you" }), only5: true, breaks: []string{"empty identifier"}},
	{does: "names a method in CONNACK", sends: change(func(p *wire.Connack) { p.AuthenticationMethod = "x" }), breaks: []string{"no AUTH unasked"}},
	{does: "does not know Receive Maximum", gets: change(func(p *wire.Connect) { p.ReceiveMaximum = 0 }), breaks: []string{"Receive Maximum of the client", "Receive Maximum holds up nothing else", "Receive Maximum and QoS 2"}},
	{does: "does not know Maximum Packet Size", gets: change(func(p *wire.Connect) { p.MaximumPacketSize = 0 }), breaks: []string{"messages that do not fit"}},
	{does: "does not know keep-alive", gets: change(func(p *wire.Connect) { p.KeepAlive = 0 }), breaks: []string{"keep-alive", "will after silence"}},
	{does: "does not know the will delay", gets: change(func(p *wire.Connect) {
		if p.Will != nil {
			p.Will.DelayInterval = 0
		}
	}), breaks: []string{"will delay", "return within the will delay"}},
	{does: "publishes no will", gets: change(func(p *wire.Connect) { p.Will = nil }), breaks: []string{"will after a cut", "will after a take-over", "will once", "will as it was given", "properties of the will"}},
	{does: "publishes a will for everybody", gets: change(func(p *wire.Connect) {
		p.Will = &wire.Will{Topic: "conformance/" + strings.TrimRight(p.ClientID, "abw") + "/will", Payload: []byte("last words")}
	}), breaks: []string{"will once", "no will"}},
	{does: "publishes the will after DISCONNECT", gets: lose(wire.TypeDisconnect), breaks: []string{"DISCONNECT"}},
	{does: "takes the end of a connection for DISCONNECT", parts: true, breaks: []string{"will after a cut"}},
	{does: "does not know the options of a subscription", gets: change(func(p *wire.Subscribe) {
		for i, f := range p.Filters {
			p.Filters[i] = wire.SubscribeFilter{Filter: f.Filter, QoS: f.QoS}
		}
	}), breaks: []string{"No Local", "Retain As Published", "Retain Handling 1", "Retain Handling 2"}},
	{does: "grants QoS 2 always", gets: change(func(p *wire.Subscribe) {
		for i := range p.Filters {
			p.Filters[i].QoS = 2
		}
	}), breaks: []string{"SUBACK codes"}},
	{does: "shares no subscription", gets: change(func(p *wire.Subscribe) {
		for i, f := range p.Filters {
			if _, rest, shared := strings.Cut(f.Filter, "/conformance/"); shared {
				p.Filters[i].Filter = "conformance/" + rest
			}
		}
	}), breaks: []string{"one member for each message", "shared subscription and retained messages"}},
	{does: "unsubscribes something else", gets: change(func(p *wire.Unsubscribe) {
		for i := range p.Filters {
			p.Filters[i] += "x"
		}
	}), breaks: []string{"UNSUBSCRIBE ends", "UNSUBACK codes"}},
	{does: "sends a DISCONNECT before CONNACK", sends: func(p wire.Packet) wire.Packet {
		if c, ok := p.(*wire.Connack); ok && c.ReasonCode.Failed() {
			return &wire.Disconnect{ReasonCode: c.ReasonCode}
		}
		return p
	}, breaks: []string{"no DISCONNECT before CONNACK"}},
}

// explain adds a reason to acknowledgements.
func explain(p wire.Packet) wire.Packet {
	why := strings.Repeat("because ", 40)
	switch p := p.(type) {
	case *wire.Puback:
		p.ReasonString = why
	case *wire.Pubrec:
		p.ReasonString = why
	case *wire.Suback:
		p.ReasonString = why
	case *wire.Unsuback:
		p.ReasonString = why
	}
	return p
}

// dial connects a script with the broker, through the fault.
func (f planted) dial(ctx context.Context, b *broker.Broker, v wire.Version) (net.Conn, error) {
	server, err := b.Dial(ctx)
	if err != nil {
		return nil, err
	}
	script, client := net.Pipe()
	go func() {
		defer server.Close()
		if !f.swallows && f.gets == nil && !f.parts {
			_, _ = copyBytes(server, client)
			return
		}
		relay(client, server, wire.Decoder{Version: v, From: wire.FromClient}, f.gets, f.swallows)
		if f.parts {
			_, _ = server.Write([]byte{0xE0, 0})
		}
	}()
	go func() {
		defer client.Close()
		relay(server, client, wire.Decoder{Version: v, From: wire.FromServer}, f.sends, false)
	}()
	return script, nil
}

func copyBytes(to, from net.Conn) (n int, err error) {
	buffer := make([]byte, 4096)
	for {
		n, err = from.Read(buffer)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return n, err
			}
		}
		if err != nil {
			return n, err
		}
	}
}

// relay passes packets on. What cannot be decoded goes on as it is, unless it is swallowed.
func relay(from, to net.Conn, d wire.Decoder, f func(wire.Packet) wire.Packet, swallow bool) {
	for {
		whole, err := readPacket(from)
		if err != nil {
			return
		}
		h, n, err := wire.ParseHeader(whole, d.Version)
		var p wire.Packet
		if err == nil {
			p, err = d.Decode(h, bytes.Clone(whole[n:]))
		}
		switch {
		case err != nil && swallow:
			continue
		case err == nil && f != nil:
			if p = f(p); p == nil {
				continue
			}
			if changed, err := p.Append(nil, d.Version); err == nil {
				whole = changed
			}
		}
		if _, err := to.Write(whole); err != nil {
			return
		}
	}
}

// readPacket reads a packet, well-formed or not, by its remaining length.
func readPacket(from net.Conn) ([]byte, error) {
	var whole []byte
	one := make([]byte, 1)
	length, shift := 0, 0
	for i := range 6 {
		if _, err := from.Read(one); err != nil {
			return nil, err
		}
		whole = append(whole, one[0])
		if i > 0 {
			length |= int(one[0]&0x7F) << shift
			shift += 7
			if one[0] < 0x80 {
				break
			}
		}
	}
	body := make([]byte, min(length, 1<<20))
	for done := 0; done < len(body); {
		n, err := from.Read(body[done:])
		if err != nil {
			return nil, err
		}
		done += n
	}
	return append(whole, body...), nil
}

// Each check can fail: a server that breaks the statement does not pass.
func TestBadServersDoNotPass(t *testing.T) {
	var running sync.WaitGroup
	for _, f := range plants { // all at the same time: they mostly wait
		running.Go(func() {
			t.Run(f.does, func(t *testing.T) { require.Empty(t, f.passes(t)) })
		})
	}
	running.Wait()
}

// passes returns the results that should be failures.
func (f planted) passes(t *testing.T) (passed []string) {
	b := broker.New(broker.Config{})
	defer b.Close()
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		if f.only5 && v != wire.V5 {
			continue
		}
		results, err := conformance.ServerRun{
			Dial:     func(ctx context.Context) (net.Conn, error) { return f.dial(ctx, b, v) },
			Versions: []wire.Version{v},
			Only:     func(s *conformance.Statement) bool { return slices.Contains(f.breaks, s.Name) },
			Patience: time.Second, // a server that is late fails as well
		}.Run(t.Context())
		require.NoError(t, err)
		for _, r := range results {
			if r.Outcome != conformance.Fails {
				passed = append(passed, r.String())
			}
		}
	}
	return passed
}
