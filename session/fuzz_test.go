package session

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// FuzzClientHandle gives the engine arbitrary bytes after CONNACK, instead of
// it, and again after a reconnect, while messages and requests are open.
func FuzzClientHandle(f *testing.F) {
	data, err := os.ReadFile("testdata/server-vectors.json")
	require.NoError(f, err)
	var vectors []serverVector
	require.NoError(f, json.Unmarshal(data, &vectors))
	for i, x := range vectors {
		if x.Fill == nil {
			f.Add(byte(i), unhex(f, x.Hex))
		}
	}
	for _, text := range []string{
		"50020002 70020002 40020001",          // our QoS 2 and QoS 1
		"90040003000100",                      // SUBACK
		"3406000174000761 62020007 6202 0007", // QoS 2 to us
		"320700017400070061 3a0700017400070061 320700017400080062 3c0700017400090062",
		"300800017403 230001 300700000323 000161",
	} {
		for options := range byte(16) {
			f.Add(options, unhex(f, text))
		}
	}
	f.Fuzz(func(t *testing.T, options byte, b []byte) {
		v := versions[options%3]
		now := time.Unix(1, 0)
		c := NewClient(ClientSettings{HasSession: options&16 != 0})
		p := keeping(v)
		if v == wire.V5 {
			p.TopicAliasMaximum, p.ReceiveMaximum, p.MaximumPacketSize = 3, 2, 1<<16
		}
		c.Sender.Submit(&Outgoing{Publish: *pub(0, 1, "one")}, now)
		c.Sender.Submit(&Outgoing{Publish: *pub(0, 2, "two")}, now)
		c.Sender.Submit(&Outgoing{Publish: *pub(0, 2, "three")}, now)
		var tokens []Token
		for range 3 {
			require.NoError(t, c.Connect(v, p, now))
			var ack []byte
			if options&8 == 0 {
				ack, _ = (&wire.Connack{SessionPresent: v != wire.V31 && c.HasSessionOf("c1")}).Append(nil, v)
			}
			err := feed(c, v, ack, now)
			if err == nil {
				c.Request(subscribe("a", "b"))
				err = feed(c, v, b, now)
			}
			if err != nil && !isProtocolFault(err) {
				t.Fatalf("%T: %v", err, err)
			}
			require.NoError(t, invariants(c))
			require.LessOrEqual(t, c.Pending(), 300+4*len(b), "answers are in proportion to what came")
			for _, m := range c.Received() {
				tokens = append(tokens, m.Token)
			}
			for i, token := range tokens {
				if i%2 == int(options>>5)&1 {
					c.Receiver.Ack(token, wire.Success)
				}
			}
			c.Recycle()
			c.Take(nil, now)
			c.Wrote(now)
			c.Lost(options&64 != 0)
			require.NoError(t, invariants(c))
			require.Zero(t, c.Pending())
		}
		left := c.Sender.Inflight() + c.Sender.queue.len + len(c.Sender.Completed(nil))
		require.Equal(t, 3, left, "every message is open or completed once")
	})
}

func isProtocolFault(err error) bool {
	switch err.(type) {
	case *wire.Error, *ServerError:
		return true
	}
	return false
}
