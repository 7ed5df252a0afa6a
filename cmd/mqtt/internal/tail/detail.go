package tail

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
)

// mode is how a payload is shown.
type mode int

const (
	auto mode = iota // JSON if it is JSON, text if it is text, else in hexadecimal
	asText
	asHex
	modes // how many there are
)

// String names the mode.
func (m mode) String() string { return [...]string{"auto", "text", "hex"}[m] }

// detail is the view of one topic.
type detail struct {
	details
	mode mode
	pick *kept // the message that is shown; nil: the newest
	top  int   // the first line on the screen
	rows int   // lines in all, as drawn last
	page int
}

func newDetail(topic string, t *tree) *detail {
	d := &detail{details: details{topic: topic}}
	d.refresh(t)
	return d
}

// refresh takes what is new. The message that is shown stays, also when the tree has let
// go of it.
func (d *detail) refresh(t *tree) { d.details = t.details(d.topic) }

func (d *detail) scroll(by int) { d.top = max(min(d.top+by, d.rows-d.page), 0) }

// step shows a message that came earlier or later.
func (d *detail) step(by int) {
	if len(d.history) == 0 {
		return
	}
	at := d.position() + by
	d.top = 0
	if at >= len(d.history)-1 {
		d.pick = nil // the newest, whichever that is
		return
	}
	d.pick = d.history[max(at, 0)]
}

// position returns where the message that is shown is in the history: -1 if it is there no
// more.
func (d *detail) position() int {
	if d.pick == nil {
		return len(d.history) - 1
	}
	for i, k := range d.history {
		if k == d.pick {
			return i
		}
	}
	return -1
}

func (m *model) detailKey(key string) {
	d := m.detail
	switch key {
	case "q", "esc", "enter", "backspace":
		m.detail = nil
	case "up", "k":
		d.scroll(-1)
	case "down", "j":
		d.scroll(1)
	case "pgup":
		d.scroll(-d.page)
	case "pgdown", "space":
		d.scroll(d.page)
	case "home", "g":
		d.scroll(-d.rows)
	case "end", "G":
		d.scroll(d.rows)
	case "left", "h":
		d.step(-1)
	case "right", "l":
		d.step(1)
	case "m":
		d.mode = (d.mode + 1) % modes
	}
}

// lines draws the view in a room of that size.
func (d *detail) lines(width, height int, now time.Time) []string {
	head := []string{
		styleTitle.Render(output.Clean(d.topic, false)),
		styleFaint.Render(fmt.Sprintf("messages here: %s, with all below: %s, rate: %s", number(d.own), number(d.messages), rate(d.rate))),
	}
	body := []string{styleFaint.Render("no message is kept")}
	if k := d.shown(); k != nil {
		head = append(head, d.about(k, now)...)
		body = wrapped(d.payload(k), width)
	}
	head = append(head, "")
	d.page = max(height-len(head), 1)
	d.rows = len(body)
	d.scroll(0)
	lines := append(head, body[d.top:min(d.top+d.page, len(body))]...)
	return fitted(lines, height)
}

// shown returns the message that is shown.
func (d *detail) shown() *kept {
	if d.pick != nil {
		return d.pick
	}
	if len(d.history) == 0 {
		return nil
	}
	return d.history[len(d.history)-1]
}

// about describes a message, each line one thing.
func (d *detail) about(k *kept, now time.Time) []string {
	m := k.message
	place := "let go of by now"
	if at := d.position(); at >= 0 {
		place = fmt.Sprintf("%d of %d kept", at+1, len(d.history))
	}
	flags := fmt.Sprintf("QoS %d", m.QoS)
	if m.Retain {
		flags += ", " + styleRetained.Render("retained")
	}
	if m.Duplicate {
		flags += ", duplicate"
	}
	lines := []string{fmt.Sprintf("%s  %s ago  (%s)  %s, %d bytes  shown as %s",
		k.at.Format("2006-01-02 15:04:05.000"), ago(now, k.at), place, flags, k.size, d.mode)}
	return append(lines, properties(m)...)
}

func properties(m *mqtt.Message) (lines []string) {
	add := func(name, value string) {
		if value != "" {
			lines = append(lines, styleFaint.Render(name+": ")+output.Clean(value, false))
		}
	}
	add("content type", m.ContentType)
	add("response topic", m.ResponseTopic)
	if m.CorrelationData != nil {
		add("correlation data", hex.EncodeToString(m.CorrelationData))
	}
	if m.MessageExpiryInterval != nil {
		add("expires in", m.MessageExpiryInterval.String())
	}
	if m.PayloadFormatUTF8 {
		add("payload format", "UTF-8")
	}
	const most = 8
	for i, p := range m.UserProperties {
		if i == most {
			lines = append(lines, styleFaint.Render(fmt.Sprintf("and %d further user properties", len(m.UserProperties)-most)))
			break
		}
		add(output.Clean(p.Name, false), p.Value)
	}
	return lines
}

// payload returns the payload as it is shown.
func (d *detail) payload(k *kept) string {
	payload := k.message.Payload
	rest := ""
	if k.size > len(payload) {
		rest = fmt.Sprintf("\n… and %d further bytes", k.size-len(payload))
	}
	if d.mode == auto && rest == "" {
		var b bytes.Buffer
		if len(payload) > 0 && (payload[0] == '{' || payload[0] == '[') && json.Indent(&b, payload, "", "  ") == nil {
			return output.Clean(b.String(), true)
		}
	}
	if d.mode == asHex || d.mode == auto && !utf8.Valid(payload) && rest == "" {
		return strings.TrimSuffix(hex.Dump(payload), "\n") + rest
	}
	if len(payload) == 0 {
		return "(empty)"
	}
	return output.Clean(strings.ReplaceAll(string(payload), "\t", "    "), true) + rest
}

// wrapped breaks text into lines of the screen.
func wrapped(text string, width int) []string {
	return strings.Split(ansi.Hardwrap(text, max(width, 1), true), "\n")
}
