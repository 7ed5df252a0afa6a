package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// serverVector is a packet that a server sends, what the client knows when it
// comes, and the verdict of a strict client.
type serverVector struct {
	ID, Version, Packet, What, Hex, Validity string
	Fill                                     *struct {
		Byte  string
		Count int
	}
	Context vectorContext
	Expect  struct {
		Level          string
		ReasonCode     string   `json:"reason_code"`
		AlsoAcceptable []string `json:"also_acceptable"`
	}
}

// vectorContext is what the connection knows; what is absent has its default.
type vectorContext struct {
	State                      string
	CleanStart                 *bool             `json:"clean_start"`
	HasSession                 bool              `json:"client_has_session"`
	TopicAliasMaximum          uint16            `json:"client_topic_alias_maximum"`
	MaximumPacketSize          uint32            `json:"client_maximum_packet_size"`
	ReceiveMaximum             uint16            `json:"client_receive_maximum"`
	RequestProblemInformation  *int              `json:"request_problem_information"`
	RequestResponseInformation int               `json:"request_response_information"`
	AuthMethod                 string            `json:"auth_method"`
	SessionExpiry              uint32            `json:"session_expiry"`
	ClientID                   *string           `json:"client_id"`
	AliasMap                   map[string]string `json:"alias_map"`
	Unacknowledged             []uint16          `json:"unacknowledged_in"`
	PendingSubscribe           map[string]int    `json:"pending_subscribe"`
	PendingUnsubscribe         map[string]int    `json:"pending_unsubscribe"`
	SubscriptionIdentifiers    []uint32          `json:"subscription_identifiers"` // the engine does not judge them
	Reauth                     bool              `json:"reauth_in_progress"`
}

// leftFree are the vectors on which the specification leaves a client free, and
// what this one does.
var leftFree = map[string]string{
	"v31.suback.002":    "accepted", // 0x80: a refused subscription, as in 3.1.1
	"v311.connack.009":  "said",     // session present in a refusal: the code counts, the flag does not
	"v311.publish.016":  "accepted", // control characters in a topic
	"v311.suback.009":   "accepted", // an answer nobody waits for changes nothing
	"v311.pingresp.005": "accepted", // 3.1.1 has no shortest-form rule
	"v5.connack.025":    "said",     // a 3.1.1-shaped refusal is a version refusal
	"v5.connack.032":    "accepted", // response information that was not asked for
	"v5.connack.033":    "accepted", // an empty client identifier that stays empty
	"v5.publish.016":    "accepted",
	"v5.publish.017":    "accepted",
	"v5.publish.026":    "accepted", // DUP with QoS 0
	"v5.publish.035":    "accepted", // a subscription identifier the client never used
	"v5.publish.039":    "accepted", // payload is not checked
	"v5.disconnect.021": "said",     // instead of CONNACK
}

func readServerVectors(t *testing.T) (vectors []serverVector) {
	t.Helper()
	data, err := os.ReadFile("testdata/server-vectors.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &vectors))
	return vectors
}

func TestServerVectors(t *testing.T) {
	vectors := readServerVectors(t)
	judged := map[string]int{}
	for _, vector := range vectors {
		t.Run(vector.ID, func(t *testing.T) { judged[vector.judge(t)]++ })
	}
	total := 0
	for _, n := range judged {
		total += n
	}
	require.Equal(t, 254, total)
	require.Equal(t, len(leftFree), judged["left free"])
	t.Logf("%v", judged)
}

// judge plays the vector and returns what kind of verdict it was checked against.
func (x *serverVector) judge(t *testing.T) string {
	t.Helper()
	s := x.script(t, nil)
	s.skip()
	wasUp := s.c.Connected()
	err := s.receive(x.bytes(t))
	verdict := "accepted"
	var fault *wire.Error
	switch err.(type) {
	case nil:
	case *ServerError:
		verdict = "said"
	default:
		verdict = "refused"
		require.ErrorAs(t, err, &fault, x.What)
	}
	if verdict == "refused" && wasUp && s.v == wire.V5 {
		s.want(&wire.Disconnect{ReasonCode: fault.Reason})
	}
	if verdict != "accepted" {
		require.False(t, s.c.Connected())
		s.wantIdle()
	}

	switch want := x.Expect; {
	case leftFree[x.ID] != "":
		require.Equal(t, leftFree[x.ID], verdict, "%s: %v", x.What, err)
		return "left free"
	case x.Validity == "valid":
		require.NotEqual(t, "refused", verdict, "%s: %v", x.What, err)
		return "valid"
	default:
		require.Equal(t, "must-reject", want.Level, x.What)
		require.Equal(t, "refused", verdict, x.What)
		if want.ReasonCode != "" {
			require.Contains(t, append(want.AlsoAcceptable, want.ReasonCode), fmt.Sprintf("0x%02X", byte(fault.Reason)), "%s: %v", x.What, err)
		}
		return "refused"
	}
}

func (x *serverVector) bytes(t *testing.T) []byte {
	b := unhex(t, x.Hex)
	if x.Fill != nil {
		b = append(b, bytes.Repeat(unhex(t, x.Fill.Byte), x.Fill.Count)...)
	}
	return b
}

// script brings a client into the state that the vector asks for.
func (x *serverVector) script(t *testing.T, tolerate func(*wire.Error)) *script {
	t.Helper()
	v := map[string]wire.Version{"3.1": wire.V31, "3.1.1": wire.V311, "5.0": wire.V5}[x.Version]
	c := x.Context
	s := newScript(t, v, ClientSettings{HasSession: c.HasSession, Tolerate: tolerate})
	p := &wire.Connect{ClientID: "c1", CleanStart: c.CleanStart == nil || *c.CleanStart}
	if c.ClientID != nil {
		p.ClientID = *c.ClientID
	}
	p.TopicAliasMaximum, p.MaximumPacketSize, p.ReceiveMaximum = c.TopicAliasMaximum, c.MaximumPacketSize, c.ReceiveMaximum
	p.SessionExpiryInterval, p.AuthenticationMethod = c.SessionExpiry, c.AuthMethod
	p.RequestResponseInformation = c.RequestResponseInformation == 1
	if c.RequestProblemInformation != nil {
		p.RequestProblemInformation = new(*c.RequestProblemInformation == 1)
	}
	s.dial(p)
	if c.State == "awaiting-connack" || x.Packet == "CONNACK" && c.State == "" {
		return s
	}
	s.send(&wire.Connack{AuthenticationMethod: c.AuthMethod})
	s.confirm()
	if c.Reauth || x.Packet == "AUTH" && x.Validity == "valid" { // else it would be out of turn
		require.NoError(t, s.c.Reauthenticate(nil))
	}
	for alias, topic := range c.AliasMap {
		n, err := strconv.ParseUint(alias, 10, 16)
		require.NoError(t, err)
		s.send(&wire.Publish{Topic: topic, Properties: &wire.PublishProperties{TopicAlias: uint16(n)}})
	}
	for _, id := range c.Unacknowledged {
		s.send(pub(id, 1, "held"))
	}
	// Both maps give the number of filters by packet identifier, which is the first.
	if n := c.PendingSubscribe["1"]; n > 0 {
		s.request(subscribe([]string{"a", "b"}[:n]...))
	}
	if n := c.PendingUnsubscribe["1"]; n > 0 {
		s.request(unsubscribe([]string{"a", "b"}[:n]...))
	}
	return s
}
