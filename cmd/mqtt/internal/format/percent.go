package format

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/message"
)

// parsePercent reads a format of mosquitto_sub: %t is the topic and so on.
func parsePercent(format string, f *Flags, p *Printer) (func([]byte, *View) ([]byte, error), error) {
	parts, err := splitPercent(format)
	if err != nil {
		return nil, err
	}
	return func(b []byte, v *View) ([]byte, error) {
		for _, part := range parts {
			if part.verb == 0 {
				b = append(b, part.text...) // the user's own, colours included
				continue
			}
			from := len(b)
			var err error
			if b, err = appendVerb(b, part.verb, v, f); err != nil {
				return nil, err
			}
			b = p.cleaned(b, from)
		}
		return b, nil
	}, nil
}

// A percentPart is text, or a verb.
type percentPart struct {
	text string
	verb byte
}

const verbs = "CDEFIJPRSUXdjlpqrtx"

func splitPercent(format string) (parts []percentPart, err error) {
	// %% is looked for first, so that \ before a verb stays what it is.
	for format != "" {
		text, rest, found := strings.Cut(format, "%")
		parts = append(parts, percentPart{text: escapes.Replace(text)})
		if !found {
			return parts, nil
		}
		if rest == "" {
			return nil, fmt.Errorf("%q ends with %%", format)
		}
		switch {
		case rest[0] == '%':
			parts = append(parts, percentPart{text: "%"})
		case strings.IndexByte(verbs, rest[0]) >= 0:
			parts = append(parts, percentPart{verb: rest[0]})
		default:
			return nil, fmt.Errorf("%%%c is not known; there are %%%% and %%%s", rest[0], strings.Join(strings.Split(verbs, ""), " %"))
		}
		format = rest[1:]
	}
	return parts, nil
}

// appendVerb appends what the verb stands for. What a message lacks is left out.
func appendVerb(b []byte, verb byte, v *View, f *Flags) ([]byte, error) {
	m := v.Message
	switch verb {
	case 'C':
		return append(b, m.ContentType...), nil
	case 'D':
		return append(b, m.CorrelationData...), nil
	case 'E':
		if m.MessageExpiryInterval != nil {
			b = strconv.AppendInt(b, int64(m.MessageExpiryInterval.Seconds()), 10)
		}
		return b, nil
	case 'F':
		if m.PayloadFormatUTF8 {
			b = append(b, '1')
		}
		return b, nil
	case 'I':
		return v.Time.AppendFormat(b, "2006-01-02T15:04:05-0700"), nil
	case 'j':
		return message.NewRecord(m, v.Time, f.encoding).Append(b, f.pretty)
	case 'J':
		return message.NewRecord(m, v.Time, message.JSONEncoding).Append(b, f.pretty)
	case 'P':
		for i, p := range m.UserProperties {
			if i > 0 {
				b = append(b, ' ')
			}
			b = append(b, p.Name+":"+p.Value...)
		}
		return b, nil
	case 'R':
		return append(b, m.ResponseTopic...), nil
	case 'S':
		for i, id := range m.SubscriptionIDs {
			if i > 0 {
				b = append(b, ' ')
			}
			b = strconv.AppendUint(b, uint64(id), 10)
		}
		return b, nil
	case 'U':
		return fmt.Appendf(b, "%d.%09d", v.Time.Unix(), v.Time.Nanosecond()), nil
	case 'd':
		return appendBit(b, m.Duplicate), nil
	case 'l':
		return strconv.AppendInt(b, int64(len(m.Payload)), 10), nil
	case 'p':
		return append(b, m.Payload...), nil
	case 'q':
		return strconv.AppendInt(b, int64(m.QoS), 10), nil
	case 'r':
		return appendBit(b, m.Retain), nil
	case 't':
		return append(b, m.Topic...), nil
	case 'x':
		return hex.AppendEncode(b, m.Payload), nil
	}
	return fmt.Appendf(b, "%X", m.Payload), nil // 'X'
}

func appendBit(b []byte, set bool) []byte {
	if set {
		return append(b, '1')
	}
	return append(b, '0')
}
