package broker

import (
	"io"
	"testing"

	"github.com/seed65a45251/mqtt/wire"
)

// FuzzServeConn feeds a connection with any bytes. The broker may close it, but
// has to be done with it when the bytes end, and others must not suffer.
func FuzzServeConn(f *testing.F) {
	for _, v := range clientVectors(f) {
		var connect []byte
		if v.Packet != "CONNECT" {
			var err error
			connect, err = (&wire.Connect{ClientID: "c1", CleanStart: true}).Append(nil, v.version())
			if err != nil {
				f.Fatal(err)
			}
		}
		f.Add(append(connect, v.bytes(f)...))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		b := New(Config{QueuedBytes: 1 << 20, RetainedBytes: 1 << 20})
		defer b.Close()
		fuzzed := dial(t, b, wire.V5)
		fuzzed.write(input)
		if err := fuzzed.net.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, fuzzed.net); err != nil {
			t.Fatal(err)
		}
		other := overSocket(t, dial(t, b, wire.V311).net, wire.V311)
		other.send(&wire.Connect{ClientID: "other", CleanStart: true}, &wire.Pingreq{})
		other.want(&wire.Connack{}, &wire.Pingresp{})
	})
}
