// Package message turns flags and JSON into messages, and messages into JSON.
package message

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/value"
)

// Flags are the flags that say how a message is sent and what goes with its payload.
type Flags struct {
	QoS           value.QoS
	Retain        bool
	ContentType   string
	ResponseTopic string
	Correlation   value.Data
	Properties    value.UserProperties
	Expiry        value.Optional
	UTF8          bool
}

// Add adds the properties of a message to flags, each name behind prefix.
func (f *Flags) Add(flags *pflag.FlagSet, prefix string) {
	about := aboutWill(prefix)
	flags.StringVar(&f.ContentType, prefix+"content-type", "", "content `TYPE`"+about+", for example application/json (5.0)")
	flags.StringVar(&f.ResponseTopic, prefix+"response-topic", "", "`TOPIC` where a response is expected (5.0)")
	flags.Var(&f.Correlation, prefix+"correlation", "correlation data"+about+": text, hex:… or base64:… (5.0)")
	flags.Var(&f.Properties, prefix+"property", "user property"+about+", any number of times (5.0)")
	flags.Var(&f.Expiry, prefix+"expiry", "how long the message is worth delivering (5.0)")
	flags.BoolVar(&f.UTF8, prefix+"utf8", false, "say that the payload is text in UTF-8 (5.0)")
}

// aboutWill says whose property it is, for flags whose prefix is not "".
func aboutWill(prefix string) string {
	if prefix == "" {
		return ""
	}
	return " of the will"
}

// AddDelivery adds QoS and retain to flags, each name behind prefix. The letters may
// be "".
func (f *Flags) AddDelivery(flags *pflag.FlagSet, prefix, qos, retain string) {
	flags.VarP(&f.QoS, prefix+"qos", qos, "quality of service"+aboutWill(prefix))
	flags.BoolVarP(&f.Retain, prefix+"retain", retain, false, "let the server keep the message for later subscribers")
}

// Message returns the message without topic and payload.
func (f *Flags) Message() mqtt.Message {
	m := mqtt.Message{
		QoS: mqtt.QoS(f.QoS), Retain: f.Retain,
		PayloadFormatUTF8: f.UTF8, ContentType: f.ContentType, ResponseTopic: f.ResponseTopic,
		CorrelationData: f.Correlation, UserProperties: f.Properties,
	}
	if f.Expiry.Given {
		m.MessageExpiryInterval = new(time.Duration(f.Expiry.Duration))
	}
	return m
}
