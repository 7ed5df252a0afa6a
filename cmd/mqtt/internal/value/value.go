// Package value has the kinds of values that flags take, beyond those of pflag.
package value

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt"
)

// QoS takes 0, 1 or 2.
type QoS mqtt.QoS

// String returns the number.
func (q *QoS) String() string { return strconv.Itoa(int(*q)) }

// Type names the values.
func (*QoS) Type() string { return "0|1|2" }

// Set takes a number.
func (q *QoS) Set(s string) error {
	switch s {
	case "0", "1", "2":
		*q = QoS(s[0] - '0')
		return nil
	}
	return errors.New("must be 0, 1 or 2")
}

// Duration takes a duration of Go such as 1m30s, or a number of seconds.
type Duration time.Duration

// String returns the duration as Go writes it, and "" for zero.
func (d *Duration) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

// Type names the values.
func (*Duration) Type() string { return "TIME" }

// Set takes a duration that is not negative.
func (d *Duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil {
		v, err = time.ParseDuration(s + "s")
	}
	if err != nil || v < 0 {
		return errors.New("must be a time such as 90s or 1m30s, or a number of seconds")
	}
	*d = Duration(v)
	return nil
}

// Optional takes what the Value takes, and knows whether it was set.
type Optional struct {
	Duration
	Given bool
}

// Set takes a duration that is not negative.
func (o *Optional) Set(s string) error {
	o.Given = true
	return o.Duration.Set(s)
}

// Version takes a version of MQTT in any of its usual spellings.
type Version mqtt.Version

// String returns the version as it is written.
func (v *Version) String() string {
	switch mqtt.Version(*v) {
	case mqtt.V5:
		return "5"
	case mqtt.V311:
		return "3.1.1"
	case mqtt.V31:
		return "3.1"
	}
	return "auto"
}

// Type names the values.
func (*Version) Type() string { return "auto|5|3.1.1|3.1" }

// Set takes a version.
func (v *Version) Set(s string) error {
	switch strings.TrimPrefix(strings.ToLower(s), "mqttv") {
	case "auto":
		*v = Version(mqtt.Auto)
	case "5", "5.0", "50":
		*v = Version(mqtt.V5)
	case "3.1.1", "311", "4":
		*v = Version(mqtt.V311)
	case "3.1", "31", "3":
		*v = Version(mqtt.V31)
	default:
		return errors.New("must be auto, 5, 3.1.1 or 3.1")
	}
	return nil
}

// Data takes bytes: as text, or in an encoding that the beginning names: hex:00ff,
// base64:AP8=, or text:… for text that begins like one of these.
type Data []byte

// String returns the bytes as they are written: in hexadecimal.
func (d *Data) String() string {
	if *d == nil {
		return ""
	}
	return "hex:" + hex.EncodeToString(*d)
}

// Type names the values.
func (*Data) Type() string { return "DATA" }

// Set takes bytes.
func (d *Data) Set(s string) (err error) {
	encoding, rest, _ := strings.Cut(s, ":")
	switch encoding {
	case "hex":
		*d, err = hex.DecodeString(rest)
	case "base64":
		*d, err = base64.StdEncoding.DecodeString(rest)
	case "text":
		*d = Data(rest)
	default:
		*d = Data(s)
	}
	return err
}

// UserProperties takes NAME=VALUE, any number of times. The first = ends the name.
type UserProperties []mqtt.UserProperty

// String returns the properties as they are written, each on a line.
func (p *UserProperties) String() string {
	var lines []string
	for _, q := range *p {
		lines = append(lines, q.Name+"="+q.Value)
	}
	return strings.Join(lines, "\n")
}

// Type names the values.
func (*UserProperties) Type() string { return "NAME=VALUE" }

// Set adds a property.
func (p *UserProperties) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return fmt.Errorf("%q must be NAME=VALUE", s)
	}
	*p = append(*p, mqtt.UserProperty{Name: name, Value: value})
	return nil
}
