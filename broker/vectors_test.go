package broker

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// vector is one packet of the table that package wire decodes, and what a server
// does with it.
type vector struct {
	ID        string
	Version   string
	Direction string
	Packet    string
	What      string
	Hex       string
	Fill      *struct {
		Byte  string
		Count int
	}
	Validity string
	Expect   *struct {
		Level             string
		ReasonCode        string   `json:"reason_code"`
		AlsoAcceptable    []string `json:"also_acceptable"`
		ConnackReturnCode *byte    `json:"connack_return_code"`
	}
	Context struct {
		State                 string
		AuthMethod            *string `json:"auth_method"`
		SessionExpiry         uint32  `json:"session_expiry"`
		TopicAliasMaximum     int     `json:"server_topic_alias_maximum"`
		MaximumQoS            *byte   `json:"server_maximum_qos"`
		RetainAvailable       *byte   `json:"server_retain_available"`
		WildcardAvailable     *byte   `json:"server_wildcard_available"`
		SubscriptionIDAllowed *byte   `json:"server_subscription_identifier_available"`
	}
}

func clientVectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("../wire/testdata/packet-vectors.json")
	require.NoError(t, err)
	var file struct{ Vectors []vector }
	require.NoError(t, json.Unmarshal(text, &file))
	var vectors []vector
	for _, v := range file.Vectors {
		if v.Direction == "client-to-server" {
			vectors = append(vectors, v)
		}
	}
	require.NotEmpty(t, vectors)
	return vectors
}

func (v *vector) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(v.Hex)
	require.NoError(t, err)
	if v.Fill != nil {
		fill, err := hex.DecodeString(v.Fill.Byte)
		require.NoError(t, err)
		b = append(b, bytes.Repeat(fill, v.Fill.Count)...)
	}
	return b
}

func (v *vector) config() Config {
	cfg := Config{TopicAliasMaximum: v.Context.TopicAliasMaximum}
	if cfg.TopicAliasMaximum == 0 {
		cfg.TopicAliasMaximum = -1
	}
	if q := v.Context.MaximumQoS; q != nil {
		cfg.MaximumQoS = new(wire.QoS(*q))
	}
	cfg.NoRetained = v.Context.RetainAvailable != nil
	cfg.NoWildcards = v.Context.WildcardAvailable != nil
	cfg.NoSubscriptionIDs = v.Context.SubscriptionIDAllowed != nil
	return cfg
}

func (v *vector) version() wire.Version {
	return map[string]wire.Version{"3.1": wire.V31, "3.1.1": wire.V311, "5.0": wire.V5}[v.Version]
}

func (v *vector) awaitsConnect() bool {
	return v.Context.State == "awaiting-connect" || v.Packet == "CONNECT" && v.Context.State == ""
}

// TestVectors sends every packet of the table to a broker. A fault ends its
// connection as the table says; a bystander never notices. [MQTT-4.13.1-1]
func TestVectors(t *testing.T) {
	for _, v := range clientVectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			cfg, method := v.config(), ""
			if m := v.Context.AuthMethod; m != nil {
				method = *m
				cfg.EnhancedAuthenticators = []EnhancedAuthenticator{tokens{method}}
				cfg.Authenticators = []Authenticator{AllowAll{}}
			}
			run(t, cfg, func(t *testing.T, b *Broker) {
				bystander := clean(t, b, "bystander")
				bystander.subscribe(filter("watch", 1))

				s := dial(t, b, v.version())
				if !v.awaitsConnect() {
					s.send(&wire.Connect{ClientID: "c1", CleanStart: true, SessionExpiryInterval: v.Context.SessionExpiry, AuthenticationMethod: method})
					if method != "" {
						s.want(ask(method))
						s.send(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: method, AuthenticationData: []byte("!")})
					}
					require.Equal(t, wire.Success, receive[*wire.Connack](s).ReasonCode)
				}
				if method != "" {
					s.send(&wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: method})
					s.want(ask(method))
				}
				s.write(v.bytes(t))
				if v.Validity == "valid" || v.Expect.Level == "may-reject" {
					v.accepted(s)
				} else {
					v.refused(s)
				}

				publishAs(bystander, "watch", "still here", 0)
				require.Equal(t, "still here", string(receive[*wire.Publish](bystander).Payload))
				bystander.idle()
			})
		})
	}
}

// tokens is an authentication method that lets everybody in who sends any data,
// and asks for it if need be.
type tokens struct{ method string }

func (m tokens) AuthenticationMethod() string { return m.method }
func (m tokens) Begin(*Login) Exchange        { return m }
func (m tokens) Next(_ context.Context, data []byte) ([]byte, Decision) {
	if data == nil {
		return []byte("?"), Pass()
	}
	return nil, Allow()
}

func ask(method string) *wire.Auth {
	return &wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: method, AuthenticationData: []byte("?")}
}

// accepted checks that the connection goes on.
func (v *vector) accepted(s *script) {
	s.t.Helper()
	switch {
	case v.Packet == "DISCONNECT":
		s.closed()
		return
	case v.awaitsConnect():
		ack := receive[*wire.Connack](s)
		if ack.ReasonCode == wire.BadAuthenticationMethod {
			s.closed()
			return
		}
		require.Equal(s.t, wire.Success, ack.ReasonCode)
	}
	s.send(&wire.Pingreq{})
	for {
		p, err := s.next()
		require.NoError(s.t, err)
		require.NotEqual(s.t, wire.TypeDisconnect, p.Type(), "%+v", p)
		if p.Type() == wire.TypePingresp {
			return
		}
	}
}

// refused checks that the connection ends, with the right code if there is one.
func (v *vector) refused(s *script) {
	s.t.Helper()
	if bytes.HasPrefix(v.bytes(s.t)[2:], []byte("\x00\x04MQTT\x06")) {
		// Nobody knows the CONNACK of that level; the broker uses that of 5.0.
		s.decoder.Version = wire.V5
		s.want(&wire.Connack{ReasonCode: wire.UnsupportedProtocolVersion})
		s.closed()
		return
	}
	p, err := s.next()
	if err != nil {
		require.NotEqual(s.t, wire.V5, v.version(), "5.0 clients are told why")
		require.Nil(s.t, v.Expect.ConnackReturnCode)
		return
	}
	var got wire.ReasonCode
	switch p := p.(type) {
	case *wire.Connack:
		got = p.ReasonCode
	case *wire.Disconnect:
		got = p.ReasonCode
	default:
		require.Fail(s.t, "unexpected answer", "%+v", p)
	}
	if v.version() == wire.V5 {
		codes := append(v.Expect.AlsoAcceptable, v.Expect.ReasonCode)
		require.Contains(s.t, codes, fmt.Sprintf("0x%02X", byte(got)))
	} else {
		require.NotNil(s.t, v.Expect.ConnackReturnCode, "got %v", got)
		byReturnCode := []wire.ReasonCode{1: wire.UnsupportedProtocolVersion, 2: wire.ClientIdentifierNotValid}
		require.Equal(s.t, byReturnCode[*v.Expect.ConnackReturnCode], got)
	}
	s.closed()
}
