package wire

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// vectorFields is the union of the fields that the vectors give for the packets.
type vectorFields struct {
	ProtocolLevel  byte   `json:"protocol_level"`
	CleanStart     bool   `json:"clean_start"`
	KeepAlive      uint16 `json:"keep_alive"`
	ClientID       string `json:"client_id"`
	Username       *string
	Password       *string `json:"password_hex"`
	Will           *vectorWill
	SessionPresent bool       `json:"session_present"`
	ReasonCode     ReasonCode `json:"reason_code"`
	ReturnCode     *byte      `json:"return_code"`
	PacketID       uint16     `json:"packet_id"`
	Dup            bool
	QoS            QoS
	Retain         bool
	Topic          string
	Payload        *string `json:"payload_hex"`
	PayloadLength  int     `json:"payload_len"`
	Subscriptions  []vectorSubscription
	Filters        []string
	Codes          []int
	Properties     []vectorProperty
}

type vectorWill struct {
	Topic      string
	Payload    string `json:"payload_hex"`
	QoS        QoS
	Retain     bool
	Properties []vectorProperty
}

type vectorSubscription struct {
	Filter            string
	QoS               QoS
	NoLocal           bool           `json:"no_local"`
	RetainAsPublished bool           `json:"retain_as_published"`
	RetainHandling    RetainHandling `json:"retain_handling"`
}

type vectorProperty struct {
	Name  string
	Value json.RawMessage
}

func (p vectorProperty) into(t testing.TB, target any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(p.Value, target), p.Name)
}

func (p vectorProperty) string(t testing.TB) (s string) {
	p.into(t, &s)
	return s
}

func (p vectorProperty) number(t testing.TB) (n uint32) {
	p.into(t, &n)
	return n
}

func (p vectorProperty) flag(t testing.TB) *bool { return new(p.number(t) != 0) }

func (p vectorProperty) binary(t testing.TB) []byte {
	var x struct{ Hex string }
	p.into(t, &x)
	return unhexField(t, x.Hex)
}

func (p vectorProperty) user(t testing.TB) UserProperty {
	var pair [2]string
	p.into(t, &pair)
	return UserProperty{Name: pair[0], Value: pair[1]}
}

// unhexField returns a slice that is not nil, as decoded fields are.
func unhexField(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return append([]byte{}, b...)
}

// packet builds the packet that a vector describes.
func (v vector) packet(t testing.TB) Packet {
	t.Helper()
	var f vectorFields
	require.NoError(t, json.Unmarshal(v.Fields, &f))
	codes := make([]ReasonCode, len(f.Codes))
	for i, code := range f.Codes {
		codes[i] = ReasonCode(code)
	}
	simple := f.simpleProperties(t)
	switch v.Packet {
	case "CONNECT":
		return f.connect(t)
	case "CONNACK":
		return f.connack(t)
	case "PUBLISH":
		return f.publish(t)
	case "PUBACK":
		return &Puback{f.PacketID, f.ReasonCode, simple.ReasonString, simple.UserProperties}
	case "PUBREC":
		return &Pubrec{f.PacketID, f.ReasonCode, simple.ReasonString, simple.UserProperties}
	case "PUBREL":
		return &Pubrel{f.PacketID, f.ReasonCode, simple.ReasonString, simple.UserProperties}
	case "PUBCOMP":
		return &Pubcomp{f.PacketID, f.ReasonCode, simple.ReasonString, simple.UserProperties}
	case "SUBSCRIBE":
		p := &Subscribe{PacketID: f.PacketID, SubscriptionID: simple.subscriptionID, UserProperties: simple.UserProperties}
		for _, s := range f.Subscriptions {
			p.Filters = append(p.Filters, SubscribeFilter(s))
		}
		return p
	case "SUBACK":
		return &Suback{f.PacketID, codes, simple.ReasonString, simple.UserProperties}
	case "UNSUBSCRIBE":
		return &Unsubscribe{f.PacketID, f.Filters, simple.UserProperties}
	case "UNSUBACK":
		if v.version(t) != V5 {
			codes = nil
		}
		return &Unsuback{f.PacketID, codes, simple.ReasonString, simple.UserProperties}
	case "PINGREQ":
		return &Pingreq{}
	case "PINGRESP":
		return &Pingresp{}
	case "DISCONNECT":
		p := simple.Disconnect
		p.ReasonCode = f.ReasonCode
		return &p
	case "AUTH":
		return &Auth{f.ReasonCode, simple.method, simple.data, simple.ReasonString, simple.UserProperties}
	}
	require.Fail(t, "unknown packet", v.Packet)
	return nil
}

// simpleProperties are the properties of the packets that have few.
type simpleProperties struct {
	Disconnect
	subscriptionID uint32
	method         string
	data           []byte
}

func (f vectorFields) simpleProperties(t testing.TB) (s simpleProperties) {
	for _, p := range f.Properties {
		switch p.Name {
		case "reason_string":
			s.ReasonString = p.string(t)
		case "user_property":
			s.UserProperties = append(s.UserProperties, p.user(t))
		case "server_reference":
			s.ServerReference = p.string(t)
		case "session_expiry_interval":
			s.SessionExpiryInterval = new(p.number(t))
		case "subscription_identifier":
			s.subscriptionID = p.number(t)
		case "authentication_method":
			s.method = p.string(t)
		case "authentication_data":
			s.data = p.binary(t)
		}
	}
	return s
}

func (f vectorFields) connect(t testing.TB) *Connect {
	p := &Connect{
		Version: Version(f.ProtocolLevel &^ bridgeBit), Bridge: f.ProtocolLevel&bridgeBit != 0,
		CleanStart: f.CleanStart, KeepAlive: f.KeepAlive, ClientID: f.ClientID, Username: f.Username,
	}
	if f.Password != nil {
		p.Password = unhexField(t, *f.Password)
	}
	if f.Will != nil {
		p.Will = f.Will.will(t)
	}
	for _, x := range f.Properties {
		switch x.Name {
		case "session_expiry_interval":
			p.SessionExpiryInterval = x.number(t)
		case "receive_maximum":
			p.ReceiveMaximum = uint16(x.number(t))
		case "maximum_packet_size":
			p.MaximumPacketSize = x.number(t)
		case "topic_alias_maximum":
			p.TopicAliasMaximum = uint16(x.number(t))
		case "request_response_information":
			p.RequestResponseInformation = *x.flag(t)
		case "request_problem_information":
			p.RequestProblemInformation = x.flag(t)
		case "authentication_method":
			p.AuthenticationMethod = x.string(t)
		case "authentication_data":
			p.AuthenticationData = x.binary(t)
		case "user_property":
			p.UserProperties = append(p.UserProperties, x.user(t))
		default:
			require.Fail(t, "unknown property", x.Name)
		}
	}
	return p
}

func (f vectorWill) will(t testing.TB) *Will {
	p := &Will{Topic: f.Topic, Payload: unhexField(t, f.Payload), QoS: f.QoS, Retain: f.Retain}
	for _, x := range f.Properties {
		switch x.Name {
		case "will_delay_interval":
			p.DelayInterval = x.number(t)
		case "payload_format_indicator":
			p.PayloadFormatUTF8 = *x.flag(t)
		case "message_expiry_interval":
			p.MessageExpiryInterval = new(x.number(t))
		case "content_type":
			p.ContentType = x.string(t)
		case "response_topic":
			p.ResponseTopic = x.string(t)
		case "correlation_data":
			p.CorrelationData = x.binary(t)
		case "user_property":
			p.UserProperties = append(p.UserProperties, x.user(t))
		default:
			require.Fail(t, "unknown property", x.Name)
		}
	}
	return p
}

func (f vectorFields) connack(t testing.TB) *Connack {
	p := &Connack{SessionPresent: f.SessionPresent, ReasonCode: f.ReasonCode}
	if f.ReturnCode != nil && int(*f.ReturnCode) < len(returnCodes) {
		p.ReasonCode = returnCodes[*f.ReturnCode]
	}
	for _, x := range f.Properties {
		switch x.Name {
		case "session_expiry_interval":
			p.SessionExpiryInterval = new(x.number(t))
		case "receive_maximum":
			p.ReceiveMaximum = uint16(x.number(t))
		case "maximum_qos":
			p.MaximumQoS = new(QoS(x.number(t)))
		case "retain_available":
			p.RetainAvailable = x.flag(t)
		case "maximum_packet_size":
			p.MaximumPacketSize = x.number(t)
		case "assigned_client_identifier":
			p.AssignedClientID = x.string(t)
		case "topic_alias_maximum":
			p.TopicAliasMaximum = uint16(x.number(t))
		case "reason_string":
			p.ReasonString = x.string(t)
		case "user_property":
			p.UserProperties = append(p.UserProperties, x.user(t))
		case "wildcard_subscription_available":
			p.WildcardSubscriptionAvailable = x.flag(t)
		case "subscription_identifier_available":
			p.SubscriptionIDAvailable = x.flag(t)
		case "shared_subscription_available":
			p.SharedSubscriptionAvailable = x.flag(t)
		case "server_keep_alive":
			p.ServerKeepAlive = new(uint16(x.number(t)))
		case "response_information":
			p.ResponseInformation = x.string(t)
		case "server_reference":
			p.ServerReference = x.string(t)
		case "authentication_method":
			p.AuthenticationMethod = x.string(t)
		case "authentication_data":
			p.AuthenticationData = x.binary(t)
		default:
			require.Fail(t, "unknown property", x.Name)
		}
	}
	return p
}

func (f vectorFields) publish(t testing.TB) *Publish {
	p := &Publish{Topic: f.Topic, PacketID: f.PacketID, QoS: f.QoS, Retain: f.Retain, Duplicate: f.Dup}
	if f.Payload != nil {
		p.Payload = unhexField(t, *f.Payload)
	} else {
		p.Payload = make([]byte, f.PayloadLength)
		for i := range p.Payload {
			p.Payload[i] = 'x'
		}
	}
	if len(f.Properties) == 0 {
		return p
	}
	q := new(PublishProperties)
	p.Properties = q
	for _, x := range f.Properties {
		switch x.Name {
		case "payload_format_indicator":
			q.PayloadFormatUTF8 = *x.flag(t)
		case "message_expiry_interval":
			q.MessageExpiryInterval = new(x.number(t))
		case "topic_alias":
			q.TopicAlias = uint16(x.number(t))
		case "response_topic":
			q.ResponseTopic = x.string(t)
		case "correlation_data":
			q.CorrelationData = x.binary(t)
		case "user_property":
			q.UserProperties = append(q.UserProperties, x.user(t))
		case "subscription_identifier":
			q.SubscriptionIDs = append(q.SubscriptionIDs, x.number(t))
		case "content_type":
			q.ContentType = x.string(t)
		default:
			require.Fail(t, "unknown property", x.Name)
		}
	}
	return p
}
