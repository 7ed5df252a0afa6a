package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// clientVector is a packet that a client sends, what the server has announced
// before, and the verdict of a strict server.
type clientVector struct {
	ID, Version, Direction, Packet, What, Hex, Validity string
	Fill                                                *struct {
		Byte  string
		Count int
	}
	Expect struct {
		Level             string
		ReasonCode        string   `json:"reason_code"`
		AlsoAcceptable    []string `json:"also_acceptable"`
		ConnackReturnCode *byte    `json:"connack_return_code"`
	}
	Context struct {
		State                 string
		AuthMethod            string `json:"auth_method"`
		SessionExpiry         uint32 `json:"session_expiry"`
		TopicAliasMaximum     uint16 `json:"server_topic_alias_maximum"`
		MaximumQoS            *byte  `json:"server_maximum_qos"`
		RetainAvailable       *byte  `json:"server_retain_available"`
		WildcardAvailable     *byte  `json:"server_wildcard_available"`
		SubscriptionIDAllowed *byte  `json:"server_subscription_identifier_available"`
	}
}

func clientVectors(t testing.TB) (vectors []clientVector) {
	t.Helper()
	text, err := os.ReadFile("../wire/testdata/packet-vectors.json")
	require.NoError(t, err)
	var file struct{ Vectors []clientVector }
	require.NoError(t, json.Unmarshal(text, &file))
	for _, x := range file.Vectors {
		if x.Direction == "client-to-server" {
			vectors = append(vectors, x)
		}
	}
	require.Len(t, vectors, 155)
	return vectors
}

func (x *clientVector) bytes(t testing.TB) []byte {
	t.Helper()
	b := unhex(t, x.Hex)
	if x.Fill != nil {
		b = append(b, bytes.Repeat(unhex(t, x.Fill.Byte), x.Fill.Count)...)
	}
	return b
}

func (x *clientVector) version() wire.Version {
	return map[string]wire.Version{"3.1": wire.V31, "3.1.1": wire.V311, "5.0": wire.V5}[x.Version]
}

func (x *clientVector) awaitsConnect() bool {
	return x.Context.State == "awaiting-connect" || x.Packet == "CONNECT" && x.Context.State == ""
}

func (x *clientVector) connack() *wire.Connack {
	c := x.Context
	ack := &wire.Connack{TopicAliasMaximum: c.TopicAliasMaximum}
	if c.MaximumQoS != nil {
		ack.MaximumQoS = new(wire.QoS(*c.MaximumQoS))
	}
	available := func(n *byte) *bool {
		if n == nil {
			return nil
		}
		return new(*n == 1)
	}
	ack.RetainAvailable = available(c.RetainAvailable)
	ack.WildcardSubscriptionAvailable = available(c.WildcardAvailable)
	ack.SubscriptionIDAvailable = available(c.SubscriptionIDAllowed)
	return ack
}

func TestClientVectors(t *testing.T) {
	for _, x := range clientVectors(t) {
		t.Run(x.ID, func(t *testing.T) {
			s := x.script(t)
			s.skip()
			wasUp := s.s.Connected()
			err := s.receive(x.bytes(t))
			if p := s.s.Connect(); err == nil && !wasUp && p != nil {
				ack := x.connack()
				if p.ClientID == "" {
					ack.AssignedClientID = "assigned"
				}
				s.v = p.Version
				err = s.s.Accept(ack, s.now)
				s.check()
			}
			if x.Validity == "valid" || x.Expect.Level == "may-reject" {
				require.NoError(t, err, x.What)
				require.Equal(t, x.Packet != "DISCONNECT", s.s.Connected(), x.What)
				return
			}
			x.refused(t, s, wasUp, err)
		})
	}
}

// refused checks the error and what the client is told.
func (x *clientVector) refused(t *testing.T, s *serverScript, wasUp bool, err error) {
	t.Helper()
	var fault *wire.Error
	require.ErrorAs(t, err, &fault, x.What)
	require.False(t, s.s.Connected())
	s.take()
	told := s.out
	switch {
	case bytes.HasPrefix(x.bytes(t)[2:], []byte("\x00\x04MQTT\x06")):
		// Nobody knows the CONNACK of that level; the engine uses that of 5.0.
		require.Equal(t, unhex(t, "2003008400"), told)
	case s.v == wire.V5:
		codes := append(x.Expect.AlsoAcceptable, x.Expect.ReasonCode)
		require.Contains(t, codes, fmt.Sprintf("0x%02X", byte(fault.Reason)), "%s: %v", x.What, err)
		if wasUp {
			s.want(&wire.Disconnect{ReasonCode: fault.Reason})
			s.wantIdle()
		}
	case x.Expect.ConnackReturnCode != nil:
		require.Equal(t, []byte{0x20, 2, 0, *x.Expect.ConnackReturnCode}, told[:4], x.What)
	default:
		require.Empty(t, told, "before 5.0 the connection is closed without a word")
	}
}

// script brings a server into the state that the vector asks for.
func (x *clientVector) script(t *testing.T) *serverScript {
	t.Helper()
	s := newServerScript(t, x.version(), ServerSettings{})
	if x.awaitsConnect() {
		s.s.Open(s.now)
		return s
	}
	s.dial(&wire.Connect{ClientID: "c1", CleanStart: true, SessionExpiryInterval: x.Context.SessionExpiry,
		AuthenticationMethod: x.Context.AuthMethod})
	if x.Packet == "AUTH" && x.Context.AuthMethod != "" && x.Context.State != "connected" {
		// A continuation is legal only after a challenge.
		require.NoError(t, s.s.Auth(&wire.Auth{ReasonCode: wire.ContinueAuthentication}))
		return s
	}
	require.NoError(t, s.s.Accept(x.connack(), s.now))
	return s
}
