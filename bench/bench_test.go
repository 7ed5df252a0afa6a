package main

import (
	"encoding/binary"
	"encoding/xml"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{5, 1, 3}, spread{3, 1, 5}},
		{[]float64{4, 1, 3, 2}, spread{2.5, 1, 4}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("spreadOf(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	var hundred []int
	for i := range 100 {
		hundred = append(hundred, i+1)
	}
	for _, c := range []struct {
		sorted []int
		p      float64
		want   int
	}{
		{nil, 0.5, 0},
		{[]int{7}, 0.999, 7},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 0.999, 100},
		{hundred, 0, 1},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("percentile of %d values at %v = %d, want %d", len(c.sorted), c.p, got, c.want)
		}
	}
}

func TestRatiosPairRounds(t *testing.T) {
	got := spreadOf(ratios(
		map[int]float64{0: 10, 1: 30, 2: 50, 3: 70},
		map[int]float64{0: 5, 1: 10, 2: 0}, // round 2 failed, round 3 is missing
	))
	if want := (spread{2.5, 2, 3}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSummaryNamesBestOfEachRole(t *testing.T) {
	run := func(client string, round int, rate uint64, err string) sample {
		return sample{Scenario: "x", Client: client, Round: round, Messages: rate, Seconds: 1, Mallocs: 2 * rate, Error: err}
	}
	roles := map[string]role{"raw": limit, "mqtt": ours, "slow": peer, "fast": peer, "broken": peer}
	list := summarize([]sample{
		run("raw", 0, 1000, ""), run("mqtt", 0, 500, ""), run("slow", 0, 10, ""), run("fast", 0, 100, ""), run("broken", 0, 0, "hangs"),
		run("raw", 1, 2000, ""), run("mqtt", 1, 800, ""), run("slow", 1, 10, ""), run("fast", 1, 200, ""), run("broken", 1, 0, "hangs"),
	}, roles)
	if len(list) != 5 || list[1].Client != "mqtt" {
		t.Fatalf("order of the first round is lost: %+v", list)
	}
	m := list[1]
	if m.Limit != "raw" || m.Peer != "fast" {
		t.Errorf("compared with %q and %q", m.Limit, m.Peer)
	}
	if want := (spread{0.45, 0.4, 0.5}); m.OfLimit != want {
		t.Errorf("of limit %v, want %v", m.OfLimit, want)
	}
	if want := (spread{4.5, 4, 5}); m.OfPeer != want {
		t.Errorf("of peer %v, want %v", m.OfPeer, want)
	}
	if m.Mallocs != 2 {
		t.Errorf("%v allocations per message, want 2", m.Mallocs)
	}
	if b := list[4]; b.Rounds != 0 || len(b.Errors) != 2 {
		t.Errorf("failures are not kept: %+v", b)
	}
}

func TestLatencyAndFootprintScoreLessAsMore(t *testing.T) {
	fast, slow := sample{Latency: &latency{P50: 50}}, sample{Latency: &latency{P50: 100}}
	if fast.score() != 2*slow.score() {
		t.Error("half the latency is not twice as good")
	}
	small, large := sample{Idle: &idle{Heap: 1, Stack: 1}}, sample{Idle: &idle{Heap: 3, Stack: 1}}
	if small.score() != 2*large.score() {
		t.Error("half the memory is not twice as good")
	}
}

// packets is every packet that the servers and the raw clients write or read.
func packets() [][]byte {
	long := make([]byte, 300)
	return [][]byte{
		appendConnect(nil, "me"),
		appendConnack(nil, 4, 256),
		appendConnack(nil, 5, 256),
		appendConnack(nil, 5, 0),
		appendSubscribe(nil, 7, "a/b", 1),
		subscription{packetID: 7, qos: []byte{1, 2}}.appendSuback(nil, false),
		subscription{packetID: 7, qos: []byte{1, 2}}.appendSuback(nil, true),
		publishing{topic: "a"}.append(nil, 0, []byte("x")),
		publishing{topic: "a", qos: 2}.append(nil, 513, long),
		publishing{topic: "a", qos: 1, v5: true, subID: 300}.append(nil, 513, nil),
		appendAck(nil, typePuback, 513),
		appendAck(nil, typePubrel, 513),
		{typePingreq, 0},
		{typePublish, 0x80, 0x80, 0x01},
	}
}

func TestWalkNeedsWholePackets(t *testing.T) {
	for _, p := range packets()[:len(packets())-1] {
		for n := range p {
			if _, _, size, err := nextPacket(p[:n]); size != 0 || err != nil {
				t.Fatalf("% x cut to %d bytes: size %d, error %v", p, n, size, err)
			}
		}
		first, body, size, err := nextPacket(append(p[:len(p):len(p)], 0xff, 0xff))
		if err != nil || size != len(p) || first != p[0] || len(body) > size-2 {
			t.Errorf("% x: size %d of %d, body %d, error %v", p, size, len(p), len(body), err)
		}
	}
	if _, _, _, err := nextPacket([]byte{typePublish, 0x80, 0x80, 0x80, 0x80, 0x01}); err == nil {
		t.Error("a length of five bytes is accepted")
	}
}

func TestIntakeWalksAcrossReads(t *testing.T) {
	var stream []byte
	all := packets()
	all = all[:len(all)-1]
	for _, p := range all {
		stream = append(stream, p...)
	}
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		for i := range stream { // a byte at a time
			far.Write(stream[i : i+1])
		}
	}()
	in := &intake{conn: near, max: 64}
	var got int
	for {
		err := in.fill()
		for {
			first, _, ok, err := in.next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if first != all[got][0] {
				t.Fatalf("packet %d starts with %#x", got, first)
			}
			got++
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got != len(all) {
		t.Errorf("%d of %d packets", got, len(all))
	}
}

func TestIntakeSkipsLargePayloads(t *testing.T) {
	large := publishing{topic: "a", qos: 1}.append(nil, 513, make([]byte, 10_000))
	stream := append(append(large[:len(large):len(large)], large...), typePingreq, 0)
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		far.Write(stream)
	}()
	in := &intake{conn: near, max: 4 << 10}
	var got []byte
	for in.fill() == nil {
		for {
			first, body, ok, err := in.next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			got = append(got, first)
			if first&0xf0 == typePublish {
				if id, err := publishID(body); err != nil || id != 513 {
					t.Errorf("identifier %d, error %v", id, err)
				}
			}
		}
	}
	if string(got) != string([]byte{large[0], large[0], typePingreq}) {
		t.Errorf("got packets % x", got)
	}
}

// TestEncodingAgreesWithCodec holds the hand-written packets against the codec
// of the library.
func TestEncodingAgreesWithCodec(t *testing.T) {
	for _, v5 := range []bool{false, true} {
		for qos := range wire.QoS(3) {
			p := wire.Publish{Topic: "a/b", QoS: qos, Payload: []byte("payload")}
			version, id, subID := wire.V311, uint16(0), 0
			if v5 {
				version, subID = wire.V5, 300
				p.Properties = &wire.PublishProperties{SubscriptionIDs: []uint32{300}}
			}
			if qos > 0 {
				id = 513
				p.PacketID = id
			}
			want, err := p.Append(nil, version)
			if err != nil {
				t.Fatal(err)
			}
			got := publishing{topic: "a/b", qos: byte(qos), v5: v5, subID: subID}.append(nil, id, p.Payload)
			if string(got) != string(want) {
				t.Errorf("v5 %v, QoS %d:\n got % x\nwant % x", v5, qos, got, want)
			}
			_, body, _, _ := nextPacket(got)
			if qos > 0 {
				if found, err := publishID(body); err != nil || found != id {
					t.Errorf("identifier %d, error %v", found, err)
				}
			}
		}
	}
}

func TestSubscribeIsParsed(t *testing.T) {
	_, body, _, _ := nextPacket(appendSubscribe(nil, 7, "a/b", 1))
	s, err := parseSubscribe(body, false)
	if err != nil || s.packetID != 7 || len(s.filters) != 1 || s.filters[0] != "a/b" || s.qos[0] != 1 || s.subID != 0 {
		t.Errorf("%+v, error %v", s, err)
	}
	b, err := (&wire.Subscribe{PacketID: 9, SubscriptionID: 300,
		Filters: []wire.SubscribeFilter{{Filter: "a"}, {Filter: "b", QoS: 2, NoLocal: true}}}).Append(nil, wire.V5)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _, _ = nextPacket(b)
	s, err = parseSubscribe(body, true)
	if err != nil || s.packetID != 9 || s.subID != 300 || len(s.filters) != 2 || s.filters[1] != "b" || s.qos[1] != 2 {
		t.Errorf("%+v, error %v", s, err)
	}
	for n := range body {
		if s, err := parseSubscribe(body[:n], true); err == nil && len(s.filters) == 2 {
			t.Errorf("cut to %d bytes it still has both filters", n)
		}
	}
}

func TestTorrentNumbersMessages(t *testing.T) {
	for _, c := range []struct{ qos, size, filters, want int }{
		{0, 256, 1, blockSize / 272},
		{0, 1 << 20, 1, 1},
		{0, 256, 10_000, 10_000},
		{0, 256, 100, 300},
		{1, 256, 1, window},
		{1, 256, 300, 2 * window},
	} {
		s := &serverSettings{qos: c.qos, size: c.size, window: window, filters: c.filters}
		tr := newTorrent(s, false, []publishing{{topic: "t"}})
		if len(tr.ends) != c.want {
			t.Errorf("%+v: cycle of %d", c, len(tr.ends))
		}
		var check tally
		check.cycle = uint32(len(tr.ends))
		for i := range tr.ends {
			first, body, size, err := nextPacket(tr.between(i, i+1))
			if err != nil || size != len(tr.between(i, i+1)) || first != byte(typePublish|c.qos<<1) {
				t.Fatalf("%+v: message %d: size %d, error %v", c, i, size, err)
			}
			check.message(body[len(body)-c.size:])
		}
		if check.gaps.Load() != 0 || check.next != 0 {
			t.Errorf("%+v: %d gaps, next is %d", c, check.gaps.Load(), check.next)
		}
	}
}

func TestTallyNoticesGapsAndReordering(t *testing.T) {
	payload := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	c := tally{cycle: 4}
	for _, n := range []uint32{0, 1, 2, 3, 0, 2, 3, 0, 1, 3, 2, 3} {
		c.message(payload(n))
	}
	// 1 is missing once; then 3 comes before 2, which breaks the row at 3, 2 and 3.
	if got := c.gaps.Load(); got != 3 {
		t.Errorf("%d gaps", got)
	}
	if got := c.n.Load(); got != 12 {
		t.Errorf("%d messages", got)
	}
}

func TestCreditIsTakenWholeAndAwaited(t *testing.T) {
	c := newCredit(3)
	if got := c.take(2); got != 2 {
		t.Errorf("took %d", got)
	}
	if got := c.take(9); got != 1 {
		t.Errorf("took %d", got)
	}
	go c.add(3)
	if !c.await(3) {
		t.Error("closed")
	}
	c.close()
	if c.take(1) != 0 || c.await(9) {
		t.Error("a closed credit gives")
	}
}

func TestRingWaitsForOldestOnly(t *testing.T) {
	var waited []int
	r := ring[int]{wait: func(i int) error { waited = append(waited, i); return nil }}
	for i := range window + 2 {
		if err := r.make(); err != nil {
			t.Fatal(err)
		}
		r.put(i)
	}
	if len(waited) != 2 || waited[0] != 0 || waited[1] != 1 {
		t.Errorf("waited for %v", waited)
	}
	if _, err := r.flush(); err != nil || len(waited) != window+2 || waited[2] != 2 {
		t.Errorf("flush waited for %d futures, error %v", len(waited), err)
	}
}

func TestIOCalls(t *testing.T) {
	reads, writes := ioCalls([]byte("rchar: 1\nwchar: 2\nsyscr: 33\nsyscw: 44\n"))
	if reads != 33 || writes != 44 {
		t.Errorf("%d reads, %d writes", reads, writes)
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{
		12: "12", 999: "999", 1500: "1.5k", 63_000: "63k", 999_400: "999k", 999_999: "1000k", 1.26e6: "1.26M", 67.8e6: "67.8M",
	} {
		if got := short(v); got != want {
			t.Errorf("short(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	r := result{Summary: []summary{
		{Scenario: "a<b", Client: "raw", Role: limit, Rate: spread{1e6, 9e5, 1.2e6}},
		{Scenario: "a<b", Client: "mqtt", Role: ours, Rate: spread{5e5, 4e5, 6e5}, Peer: "other", OfPeer: spread{5, 4, 6}},
		{Scenario: "a<b", Client: "failed", Role: peer},
		{Scenario: "late", Client: "mqtt", Role: ours, Rate: spread{1, 1, 1}, Latency: &latency{}},
	}}
	svg := string(r.plot())
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
	for _, want := range []string{">a&lt;b<", ">mqtt<", "500k · 5.0 × other", plotColours[limit]} {
		if !strings.Contains(svg, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(svg, ">failed<") || strings.Contains(svg, ">late<") {
		t.Error("what has no rate is drawn")
	}
	if empty := (&result{}).plot(); len(empty) == 0 {
		t.Error("nothing to draw draws nothing")
	}
}

func TestEveryScenarioHasOursAndUniqueClients(t *testing.T) {
	for _, s := range scenarios {
		seen := make(map[string]bool)
		for _, e := range clients() {
			if !e.takesPart(&s) {
				continue
			}
			if seen[e.name] {
				t.Errorf("%s: two clients named %s", s.name, e.name)
			}
			seen[e.name] = true
		}
		if !seen["mqtt"] {
			t.Errorf("%s: our client is missing", s.name)
		}
	}
}

// TestServersAnswer runs every kind of exchange with raw clients in this
// process: what the sink counts is what was sent, and what the firehose sends
// arrives in order.
func TestServersAnswer(t *testing.T) {
	for _, name := range []string{"pub0-256", "async1-256", "async2-256", "recv0-256", "recv1-256", "recv2-256"} {
		t.Run(name, func(t *testing.T) {
			sc, err := findScenario(name)
			if err != nil {
				t.Fatal(err)
			}
			s := &server{serverSettings: sc.serverSettings(), conns: make(map[net.Conn]bool)}
			s.handle = s.sink
			if s.kind == "firehose" {
				s.handle = s.firehose
			}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s.wg.Go(func() { s.accept(ln) })
			j := &job{scenario: sc, addr: ln.Addr().String(), clientID: "test", payload: make([]byte, sc.size),
				warmup: time.Millisecond, duration: 5 * time.Millisecond, measured: func() error { return nil }}
			e := entry{name: "raw64k", open: openRaw(batched)}
			got, err := measure(&e, j)
			ln.Close()
			s.end()
			s.wg.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if got.Messages == 0 || s.report.Errors != 0 || s.report.Disorder != 0 {
				t.Errorf("%d messages, server: %+v", got.Messages, s.report)
			}
			if got.Total != s.report.Published {
				t.Errorf("published %d, the sink saw %d", got.Total, s.report.Published)
			}
			if s.kind == "firehose" && s.report.Sent == 0 {
				t.Error("the firehose sent nothing")
			}
		})
	}
}
