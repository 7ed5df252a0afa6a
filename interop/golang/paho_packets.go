package main

import (
	"fmt"

	"github.com/eclipse/paho.golang/paho"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

func pahoConnect(op conformance.Operation) *paho.Connect {
	c := &paho.Connect{
		ClientID: op.ID, CleanStart: op.Clean, KeepAlive: uint16(op.KeepAlive),
		Properties: &paho.ConnectProperties{
			RequestProblemInfo: !op.NoProblemInformation, RequestResponseInfo: op.RequestResponseInformation,
			SessionExpiryInterval: optional(op.Expiry), ReceiveMaximum: optional(uint16(op.ReceiveMaximum)),
			MaximumPacketSize: optional(uint32(op.MaximumPacketSize)),
			TopicAliasMaximum: optional(uint16(op.TopicAliasMaximum)), User: pahoUser(op.UserProperties),
		},
	}
	if op.Username != nil {
		c.UsernameFlag, c.Username = true, *op.Username
	}
	if op.Password != nil {
		c.PasswordFlag, c.Password = true, []byte(*op.Password)
	}
	if op.Auth != nil {
		c.Properties.AuthMethod, c.Properties.AuthData = op.Auth.Method, op.Auth.Data
	}
	if w := op.Will; w != nil {
		c.WillMessage = &paho.WillMessage{
			Topic: topicOf(w.Topic, w.TopicBase64), Payload: []byte(w.Payload), QoS: byte(w.QoS), Retain: w.Retain,
		}
		c.WillProperties = &paho.WillProperties{WillDelayInterval: optional(w.Delay)}
		if has := w.Properties; has != nil {
			c.WillProperties.ContentType, c.WillProperties.ResponseTopic = has.ContentType, has.ResponseTopic
			c.WillProperties.CorrelationData, c.WillProperties.User = has.Correlation, pahoUser(has.UserProperties)
			c.WillProperties.MessageExpiry, c.WillProperties.PayloadFormat = has.MessageExpiry, number[byte](has.PayloadFormat)
		}
	}
	return c
}

// optional returns nil for a value that is not set.
func optional[T uint16 | uint32](v T) *T {
	if v == 0 {
		return nil
	}
	return &v
}

// number returns a number as another type, nil for nil.
func number[To, From byte | uint16 | int](v *From) *To {
	if v == nil {
		return nil
	}
	n := To(*v)
	return &n
}

func pahoUser(pairs [][2]string) (user paho.UserProperties) {
	for _, p := range pairs {
		user.Add(p[0], p[1])
	}
	return user
}

func tellPahoUser(user paho.UserProperties) (pairs [][2]string) {
	for _, u := range user {
		pairs = append(pairs, [2]string{u.Key, u.Value})
	}
	return pairs
}

func pahoPublish(op conformance.Operation) *paho.Publish {
	m := &paho.Publish{
		Topic: topicOf(op.Topic, op.TopicBase64), Payload: payloadOf(op), QoS: byte(op.QoS), Retain: op.Retain,
	}
	if has := op.Properties; has != nil {
		m.Properties = &paho.PublishProperties{
			PayloadFormat: number[byte](has.PayloadFormat), MessageExpiry: has.MessageExpiry,
			ContentType: has.ContentType, ResponseTopic: has.ResponseTopic, CorrelationData: has.Correlation,
			TopicAlias: number[uint16](has.Alias), User: pahoUser(has.UserProperties),
		}
		if len(has.SubscriptionIdentifiers) > 0 {
			m.Properties.SubscriptionIdentifier = &has.SubscriptionIdentifiers[0]
		}
	}
	return m
}

func tellPahoProperties(p *paho.PublishProperties) *conformance.Properties {
	if p == nil {
		return nil
	}
	told := &conformance.Properties{
		PayloadFormat: number[int](p.PayloadFormat), MessageExpiry: p.MessageExpiry,
		ContentType: p.ContentType, ResponseTopic: p.ResponseTopic, Correlation: p.CorrelationData,
		Alias: number[int](p.TopicAlias), UserProperties: tellPahoUser(p.User),
	}
	if p.SubscriptionIdentifier != nil {
		told.SubscriptionIdentifiers = []int{*p.SubscriptionIdentifier}
	}
	return told
}

func connackAnswer(ack *paho.Connack) conformance.Answer {
	a := conformance.Answer{Present: ack.SessionPresent, Code: int(ack.ReasonCode)}
	if p := ack.Properties; p != nil {
		a.Properties = &conformance.Properties{
			ReasonString: p.ReasonString, AssignedID: p.AssignedClientID, ServerReference: p.ServerReference,
			ResponseInformation: p.ResponseInfo, UserProperties: tellPahoUser(p.User),
		}
	}
	return a
}

func errDisconnected(d *paho.Disconnect) error {
	text := ""
	if d.Properties != nil {
		text = ": " + d.Properties.ReasonString
	}
	return fmt.Errorf("DISCONNECT with 0x%02X%s", d.ReasonCode, text)
}

// pahoAuther answers each step of the server with its data behind "re:".
type pahoAuther struct{ method string }

// Authenticate implements paho.Auther.
func (a pahoAuther) Authenticate(got *paho.Auth) *paho.Auth {
	data := []byte("re:")
	if got.Properties != nil {
		data = append(data, got.Properties.AuthData...)
	}
	return &paho.Auth{ReasonCode: 0x18, Properties: &paho.AuthProperties{AuthMethod: a.method, AuthData: data}}
}

// Authenticated implements paho.Auther.
func (pahoAuther) Authenticated() {}
