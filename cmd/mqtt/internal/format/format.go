// Package format prints messages: their payload, topic and payload, JSON, hexadecimal, or
// what a format or a template of the user says.
package format

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/message"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
)

// Flags are the options of a command that prints messages.
type Flags struct {
	Verbose   bool
	json      bool
	pretty    bool
	encoding  message.Encoding
	hex, dump bool
	format    string
	template  string
	noEOL     bool
}

// Add gives cmd the options.
func (f *Flags) Add(cmd *cobra.Command) {
	f.encoding = message.AutoEncoding
	flags := cmd.Flags()
	flags.BoolVarP(&f.Verbose, "verbose", "v", false, "print the topic before the payload")
	flags.BoolVarP(&f.json, "json", "j", false, "print each message as a line of JSON, with all properties")
	flags.Var(&f.encoding, "payload", "with --json: text if it is text, base64 always, or json as it is")
	flags.BoolVar(&f.pretty, "pretty", false, "indent the JSON, also of payloads")
	flags.BoolVar(&f.hex, "hex", false, "print the payload in hexadecimal")
	flags.BoolVar(&f.dump, "hexdump", false, "print the payload as a dump")
	flags.StringVarP(&f.format, "format", "F", "", "`FORMAT` of mosquitto_sub, such as '%t %p'")
	flags.StringVar(&f.template, "template", "", "`TEMPLATE` of Go, such as '{{.Topic}}: {{.Payload}}'")
	flags.BoolVarP(&f.noEOL, "no-eol", "N", false, "print no line end after each message")
	cmd.MarkFlagsMutuallyExclusive("json", "hex", "hexdump", "format", "template")
}

// Printer turns messages into text. It is not safe for concurrent use.
type Printer struct {
	out    *output.Stream
	eol    string
	append func(b []byte, v *View) ([]byte, error)
	width  int // of the topics so far, on a terminal
	buffer []byte
}

// Printer returns what prints messages in the way that the options ask for, for out.
func (f *Flags) Printer(out *output.Stream) (*Printer, error) {
	p := &Printer{out: out, eol: "\n"}
	if f.noEOL {
		p.eol = ""
	}
	switch {
	case f.json:
		p.append = func(b []byte, v *View) ([]byte, error) {
			b, err := message.NewRecord(v.Message, v.Time, f.encoding).Append(b, f.pretty)
			return p.cleaned(b, 0), err
		}
	case f.format != "":
		percent, err := parsePercent(f.format, f, p)
		if err != nil {
			return nil, exit.Usagef("--format: %w", err)
		}
		p.append = percent
	case f.template != "":
		t, err := parseTemplate(f.template)
		if err != nil {
			return nil, exit.Usagef("--template: %w", err)
		}
		p.append = func(b []byte, v *View) ([]byte, error) {
			b, err := t(b, v)
			return p.cleaned(b, 0), err
		}
	default:
		p.append = func(b []byte, v *View) ([]byte, error) { return f.plain(p, b, v), nil }
	}
	return p, nil
}

// plain appends the payload, and the topic if asked for.
func (f *Flags) plain(p *Printer, b []byte, v *View) []byte {
	payload := v.Message.Payload
	switch {
	case f.hex:
		payload = []byte(hex.EncodeToString(payload))
	case f.dump:
		payload = []byte(strings.TrimSuffix(hex.Dump(payload), "\n"))
	case f.pretty:
		payload = indented(payload)
	}
	if f.Verbose {
		b = p.topic(b, v.Message)
		if f.dump {
			b = append(b, '\n')
		} else {
			b = append(b, ' ')
		}
	}
	return p.cleaned(append(b, payload...), len(b))
}

// topic appends the topic: on a terminal in colour and in a column.
func (p *Printer) topic(b []byte, m *mqtt.Message) []byte {
	if !p.out.Terminal {
		return append(b, m.Topic...)
	}
	topic := output.Clean(m.Topic, false)
	length := len([]rune(topic))
	p.width = max(p.width, min(length, p.out.Width()/3))
	b = append(b, p.out.Paint(output.Cyan, topic)...)
	b = append(b, strings.Repeat(" ", max(p.width-length, 0))...)
	if m.Retain {
		return append(b, p.out.Paint(output.Yellow, " R")...)
	}
	return append(b, "  "...)
}

// Print returns the text of a message with its line end. The slice is valid until the
// next call.
func (p *Printer) Print(m *mqtt.Message, at time.Time) ([]byte, error) {
	b, err := p.append(p.buffer[:0], &View{Message: m, Time: at})
	if err != nil {
		return nil, err
	}
	b = append(b, p.eol...)
	p.buffer = b[:0]
	if cap(b) > 1<<20 {
		p.buffer = nil // one large message does not stay in memory
	}
	return b, nil
}

// cleaned returns b without what could control the terminal from there on. It is called
// for what comes from outside, before the program adds colours of its own.
func (p *Printer) cleaned(b []byte, from int) []byte {
	if !p.out.Terminal {
		return b
	}
	return append(b[:from], output.Clean(string(b[from:]), true)...)
}

// indented returns JSON with indents, and everything else as it is.
func indented(payload []byte) []byte {
	var b bytes.Buffer
	if err := jsonIndent(&b, payload); err != nil {
		return payload
	}
	return b.Bytes()
}

// View is what templates see of a message.
type View struct {
	*mqtt.Message
	Time time.Time // of arrival
}

// Payload returns the payload as text.
func (v *View) Payload() string { return string(v.Message.Payload) }

// QoS returns the number.
func (v *View) QoS() int { return int(v.Message.QoS) }

// Property returns the value of the first user property of that name, or "".
func (v *View) Property(name string) string {
	value, _ := v.UserProperty(name)
	return value
}

// Expiry returns the message expiry interval, or 0 if there is none.
func (v *View) Expiry() time.Duration {
	if v.MessageExpiryInterval == nil {
		return 0
	}
	return *v.MessageExpiryInterval
}

// String keeps templates that print the whole message readable.
func (v *View) String() string { return fmt.Sprintf("%s %s", v.Topic, v.Message.Payload) }
