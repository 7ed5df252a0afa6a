package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/seed65a45251/mqtt"
)

// Record is a message as a line of JSON: what "mqtt sub --json" prints and
// "mqtt pub --json" reads. One of the three payloads is set. Names are never
// changed; new ones may join them.
type Record struct {
	Time                  time.Time       `json:"time,omitzero"` // of arrival; ignored when published
	Topic                 string          `json:"topic,omitempty"`
	Payload               *string         `json:"payload,omitempty"` // text
	PayloadBase64         []byte          `json:"payload_base64,omitempty"`
	PayloadJSON           json.RawMessage `json:"payload_json,omitempty"` // any JSON
	QoS                   *int            `json:"qos,omitempty"`
	Retain                *bool           `json:"retain,omitempty"`
	Duplicate             bool            `json:"duplicate,omitempty"` // ignored when published
	PayloadFormatUTF8     bool            `json:"payload_format_utf8,omitempty"`
	MessageExpiryInterval *int64          `json:"message_expiry_interval,omitempty"` // seconds
	ContentType           string          `json:"content_type,omitempty"`
	ResponseTopic         string          `json:"response_topic,omitempty"`
	CorrelationData       *string         `json:"correlation_data,omitempty"` // text
	CorrelationBase64     []byte          `json:"correlation_data_base64,omitempty"`
	UserProperties        []Property      `json:"user_properties,omitempty"`
	SubscriptionIDs       []uint32        `json:"subscription_ids,omitempty"` // ignored when published
}

// Property is a user property. A list keeps their order and repeated names.
type Property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Encoding says in which form a payload stands in a Record.
type Encoding string

// The encodings. What does not fit is in base64: bytes that are no text, and with JSON
// also text that is no JSON is left as text.
const (
	AutoEncoding   Encoding = "auto" // as text if it is text
	Base64Encoding Encoding = "base64"
	JSONEncoding   Encoding = "json"
)

// String returns the value as it is written.
func (e *Encoding) String() string { return string(*e) }

// Type names the values.
func (*Encoding) Type() string { return "auto|base64|json" }

// Set takes one of the values.
func (e *Encoding) Set(s string) error {
	switch v := Encoding(s); v {
	case AutoEncoding, Base64Encoding, JSONEncoding:
		*e = v
		return nil
	}
	return errors.New("must be auto, base64 or json")
}

// NewRecord describes a message that has arrived at that time.
func NewRecord(m *mqtt.Message, at time.Time, e Encoding) *Record {
	r := &Record{
		Time: at, Topic: m.Topic, QoS: new(int(m.QoS)), Retain: new(m.Retain), Duplicate: m.Duplicate,
		PayloadFormatUTF8: m.PayloadFormatUTF8, ContentType: m.ContentType, ResponseTopic: m.ResponseTopic,
		SubscriptionIDs: m.SubscriptionIDs,
	}
	switch {
	case e == JSONEncoding && json.Valid(m.Payload) && utf8.Valid(m.Payload):
		r.PayloadJSON = m.Payload
	case e != Base64Encoding && utf8.Valid(m.Payload) || len(m.Payload) == 0:
		r.Payload = new(string(m.Payload))
	default:
		r.PayloadBase64 = m.Payload
	}
	if m.MessageExpiryInterval != nil {
		r.MessageExpiryInterval = new(int64(*m.MessageExpiryInterval / time.Second))
	}
	if m.CorrelationData != nil {
		if utf8.Valid(m.CorrelationData) {
			r.CorrelationData = new(string(m.CorrelationData))
		} else {
			r.CorrelationBase64 = m.CorrelationData
		}
	}
	for _, p := range m.UserProperties {
		r.UserProperties = append(r.UserProperties, Property(p))
	}
	return r
}

// Append appends the record to b as one line, or indented, without the line end.
func (r *Record) Append(b []byte, pretty bool) ([]byte, error) {
	buffer := bytes.NewBuffer(b)
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	if pretty {
		encoder.SetIndent("", "  ")
	}
	if err := encoder.Encode(r); err != nil {
		return b, err
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// ParseRecord reads one record. A name that is not known is an error, because it may be
// one that was misspelt.
func ParseRecord(line []byte) (*Record, error) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	r := &Record{}
	if err := decoder.Decode(r); err != nil {
		return nil, err
	}
	if decoder.More() {
		return nil, errors.New("more than one JSON value")
	}
	payloads := 0
	for _, given := range []bool{r.Payload != nil, r.PayloadBase64 != nil, r.PayloadJSON != nil} {
		if given {
			payloads++
		}
	}
	if payloads > 1 {
		return nil, errors.New("more than one of payload, payload_base64 and payload_json")
	}
	if r.CorrelationData != nil && r.CorrelationBase64 != nil {
		return nil, errors.New("both correlation_data and correlation_data_base64")
	}
	return r, nil
}

// Message returns the message to be published. What the record leaves out is as in m.
func (r *Record) Message(m mqtt.Message) (*mqtt.Message, error) {
	if r.Topic != "" {
		m.Topic = r.Topic
	}
	switch {
	case r.Payload != nil:
		m.Payload = []byte(*r.Payload)
	case r.PayloadBase64 != nil:
		m.Payload = r.PayloadBase64
	case r.PayloadJSON != nil:
		m.Payload = r.PayloadJSON
	}
	if r.QoS != nil {
		if *r.QoS < 0 || *r.QoS > 2 {
			return nil, fmt.Errorf("qos is %d, and must be 0, 1 or 2", *r.QoS)
		}
		m.QoS = mqtt.QoS(*r.QoS)
	}
	if r.Retain != nil {
		m.Retain = *r.Retain
	}
	m.PayloadFormatUTF8 = m.PayloadFormatUTF8 || r.PayloadFormatUTF8
	if r.MessageExpiryInterval != nil {
		m.MessageExpiryInterval = new(time.Duration(*r.MessageExpiryInterval) * time.Second)
	}
	if r.ContentType != "" {
		m.ContentType = r.ContentType
	}
	if r.ResponseTopic != "" {
		m.ResponseTopic = r.ResponseTopic
	}
	switch {
	case r.CorrelationData != nil:
		m.CorrelationData = []byte(*r.CorrelationData)
	case r.CorrelationBase64 != nil:
		m.CorrelationData = r.CorrelationBase64
	}
	if r.UserProperties != nil {
		m.UserProperties = nil
		for _, p := range r.UserProperties {
			m.UserProperties = append(m.UserProperties, mqtt.UserProperty(p))
		}
	}
	return &m, nil
}
