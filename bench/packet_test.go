package main

import (
	"io"
	"net"
	"testing"

	"github.com/seed65a45251/mqtt/wire"
)

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
