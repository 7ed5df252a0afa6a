package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/seed65a45251/mqtt/wire"
)

// A stream is read packet by packet; what is buffered is taken before more is read.
func Example() {
	var stream []byte
	for _, p := range []wire.Packet{
		&wire.Connack{ReasonCode: wire.Success, ReceiveMaximum: 20},
		&wire.Publish{Topic: "sensors/7/temp", Payload: []byte("21.5")},
		&wire.Pingresp{},
	} {
		stream, _ = p.Append(stream, wire.V5)
	}

	reader := wire.NewReader(bytes.NewReader(stream), wire.V5, 0)
	decoder := wire.Decoder{Version: wire.V5}
	for {
		header, body, err := reader.ReadPacket()
		if err == io.EOF {
			return
		}
		packet, err := decoder.Decode(header, body)
		if err != nil {
			fmt.Println("answer with", err)
			return
		}
		switch p := packet.(type) {
		case *wire.Publish:
			fmt.Printf("%s: %s\n", p.Topic, p.Payload)
		default:
			fmt.Println(packet.Type())
		}
	}
	// Output:
	// CONNACK
	// sensors/7/temp: 21.5
	// PINGRESP
}

// In a hot loop the struct is used again, and the properties are given back once per read.
func ExampleDecoder_Publish() {
	sent := &wire.Publish{Topic: "a/b", Properties: &wire.PublishProperties{SubscriptionIDs: []uint32{7}}}
	stream, _ := sent.Append(nil, wire.V5)

	reader := wire.NewReader(bytes.NewReader(stream), wire.V5, 0)
	decoder := wire.Decoder{Version: wire.V5}
	var p wire.Publish
	for reader.Fill() == nil {
		for {
			header, body, ok, err := reader.Next()
			if !ok || err != nil || header.Type != wire.TypePublish {
				break
			}
			if err := decoder.Publish(&p, header, body); err == nil {
				fmt.Println(p.Topic, p.Properties.SubscriptionIDs)
			}
		}
		decoder.Recycle()
	}
	// Output: a/b [7]
}

func ExampleParseHeader() {
	header, n, err := wire.ParseHeader([]byte{0x32, 0x0a, 0x00}, wire.V5)
	fmt.Println(header.Type, header.Length, n, err)

	_, _, err = wire.ParseHeader([]byte{0x36, 0x0a}, wire.V5)
	fmt.Println(err, errors.Is(err, wire.MalformedPacket))
	// Output:
	// PUBLISH 10 2 <nil>
	// PUBLISH: QoS 3: malformed packet (0x81) true
}

func ExamplePublish_AppendAliased() {
	p := &wire.Publish{Topic: "a/b", Payload: []byte("x")}
	first, _ := p.AppendAliased(nil, 7, false)
	next, _ := p.AppendAliased(nil, 7, true)
	fmt.Printf("%x\n%x\n", first, next)
	// Output:
	// 300a0003612f620323000778
	// 300700000323000778
}
