package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// FuzzServerHandle gives the engine arbitrary bytes as a client's whole
// connection, and again after CONNECT on two more, while messages and requests
// are open.
func FuzzServerHandle(f *testing.F) {
	for i, x := range clientVectors(f) {
		if x.Fill == nil {
			f.Add(byte(i), x.bytes(f))
		}
	}
	for _, text := range []string{
		"40020001 50020002 70020002",           // our QoS 1 and QoS 2
		"3406000174000761 62020007 62020007",   // QoS 2 to us
		"82060001000161 02 a2050002000161",     // SUBSCRIBE, UNSUBSCRIBE
		"8207000100000161 02 a206000200000161", // the same in 5.0
		"320700017400070061 3a0700017400070061 320700017400080062 3c0700017400090062",
		"f009 19 07 1500014d 160000 f009 18 07 1500014d 160000",
	} {
		for options := range byte(16) {
			f.Add(options, unhex(f, text))
		}
	}
	f.Fuzz(func(t *testing.T, options byte, b []byte) {
		v := versions[options%3]
		now := time.Unix(1, 0)
		s := NewServer(ServerSettings{HasSession: options&16 != 0})
		ack := wire.Connack{AssignedClientID: "assigned"}
		if options&4 != 0 {
			ack.ReceiveMaximum, ack.MaximumPacketSize, ack.TopicAliasMaximum, ack.RetainAvailable = 2, 100, 3, new(false)
		}
		p := keeping(v)
		if options&8 != 0 && v == wire.V5 {
			p.AuthenticationMethod, p.MaximumPacketSize, p.RequestProblemInformation = "M", 40, new(false)
		}
		connect, err := p.Append(nil, v)
		require.NoError(t, err)
		var tokens []Token
		for i, input := range [][]byte{b, append(connect, b...), append(connect, b...)} {
			s.Open(now)
			err := serveFuzzed(s, input, ack, options&32 != 0, &tokens)
			if _, fault := err.(*wire.Error); err != nil && !fault {
				t.Fatalf("%T: %v", err, err)
			}
			require.NoError(t, serverInvariants(s))
			require.LessOrEqual(t, s.Pending(), 300+8*len(input), "answers are in proportion to what came")
			for _, token := range tokens {
				_ = s.Receiver.Ack(token, wire.Success)
			}
			s.Take(nil, now)
			require.NoError(t, serverInvariants(s))
			if i == 1 && options&64 != 0 {
				next := NewServer(ServerSettings{})
				next.Open(now)
				require.NoError(t, feedServer(next, connect, now))
				next.Recycle()
				next.Adopt(s)
				s = next
			}
			s.Lost()
			require.NoError(t, serverInvariants(s))
			require.Zero(t, s.Pending())
		}
		s.Forget()
		require.Zero(t, s.Sender.Inflight()+s.Receiver.Unfinished())
	})
}

// serveFuzzed is a server that answers everything, and a message with three.
func serveFuzzed(s *Server, b []byte, ack wire.Connack, challenge bool, tokens *[]Token) error {
	now := time.Unix(1, 0)
	for len(b) > 0 {
		h, n, err := wire.ParseHeader(b, s.Version())
		if err != nil {
			s.Fail(err)
			return err
		}
		if n == 0 || len(b) < h.Size {
			return nil
		}
		if err := s.Handle(h, b[n:h.Size:h.Size], now); err != nil {
			return err
		}
		b = b[h.Size:]
		for _, e := range s.Events() {
			switch p := e.Packet.(type) {
			case *wire.Connect:
				if challenge && s.Auth(&wire.Auth{ReasonCode: wire.ContinueAuthentication}) == nil {
					continue
				}
				err = acceptFuzzed(s, ack)
			case *wire.Auth:
				if s.Connected() {
					err = s.Auth(&wire.Auth{ReasonCode: wire.Success, ReasonString: "welcome"})
				} else {
					err = acceptFuzzed(s, ack)
				}
			case *wire.Publish:
				*tokens = append(*tokens, e.Token)
			case *wire.Subscribe:
				_ = s.Suback(&wire.Suback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))})
			case *wire.Unsubscribe:
				_ = s.Unsuback(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))})
			}
		}
		s.Recycle()
		if err != nil {
			return err
		}
	}
	return nil
}

// acceptFuzzed accepts, or refuses a client for which CONNACK is too large.
func acceptFuzzed(s *Server, ack wire.Connack) error {
	now := time.Unix(1, 0)
	if s.Connect().ClientID != "" {
		ack.AssignedClientID = ""
	}
	err := s.Accept(&ack, now)
	if _, fault := err.(*wire.Error); fault {
		return err
	}
	if err != nil {
		return s.Refuse(&wire.Connack{ReasonCode: wire.UnspecifiedError})
	}
	for qos := range wire.QoS(3) {
		s.Publish(&Outgoing{Publish: wire.Publish{Topic: "t", Payload: []byte("x"), QoS: qos}}, now)
	}
	return nil
}
