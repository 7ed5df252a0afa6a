package probe

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
)

// WriteTable writes the result for people.
func (r *Result) WriteTable(w *output.Stream) error {
	var b strings.Builder
	fmt.Fprint(&b, w.Paint(output.Bold, printable(r.URL)))
	if r.Address != "" {
		fmt.Fprintf(&b, " (%s)", printable(r.Address))
	}
	if r.Version != "" {
		fmt.Fprintf(&b, ", MQTT %s", r.Version)
	}
	fmt.Fprintf(&b, ", %.1f s\n", r.Seconds)
	name, value := 0, 0
	for _, c := range r.Checks {
		name = max(name, len(c.Name))
		value = max(value, min(30, utf8.RuneCountInString(c.shown())))
	}
	group, skip := "", ""
	for _, c := range r.Checks {
		if c.Group != group {
			group = c.Group
			fmt.Fprintf(&b, "\n%s\n", w.Paint(output.Bold, group))
			skip = r.untested(group)
			if skip != "" {
				fmt.Fprintf(&b, "  %s\n", w.Paint(output.Faint, "not tested: "+printable(skip)))
			}
		}
		if skip != "" {
			continue
		}
		shown := printable(c.shown())
		fmt.Fprintf(&b, "  %-*s  %s%s", name, c.Name, w.Paint(styles[c.Answer], shown), strings.Repeat(" ", max(0, value-utf8.RuneCountInString(shown))))
		if c.Note != "" {
			fmt.Fprintf(&b, "  %s", w.Paint(output.Faint, printable(c.Note)))
		}
		b.WriteByte('\n')
	}
	if r.TLS != nil {
		r.TLS.write(&b, w, r.Time)
	}
	if r.Interrupted {
		b.WriteString("\n! The probe was interrupted.\n")
	}
	if r.Left != "" {
		fmt.Fprintf(&b, "\n! %s\n", printable(r.Left))
	}
	text := strings.Split(b.String(), "\n")
	for i := range text {
		text[i] = strings.TrimRight(text[i], " ")
	}
	_, err := io.WriteString(w, strings.Join(text, "\n"))
	return err
}

// untested returns the reason if no check of a group was made, for one and the same reason.
func (r *Result) untested(group string) (reason string) {
	for _, c := range r.Checks {
		switch {
		case c.Group != group:
		case c.Answer != NotTested || reason != "" && c.Note != reason:
			return ""
		default:
			reason = c.Note
		}
	}
	return reason
}

var styles = map[Answer]output.Style{Yes: output.Green, No: output.Yellow, Wrong: output.Red, NotTested: output.Faint, Value: output.Cyan}

// shown is the answer and the value in a few words.
func (c *Check) shown() string {
	switch {
	case c.Value == "":
		return string(c.Answer)
	case c.Answer == Value:
		return c.Value
	}
	return string(c.Answer) + ", " + c.Value
}

func (t *TLS) write(b *strings.Builder, w *output.Stream, now time.Time) {
	fmt.Fprintf(b, "\n%s\n", w.Paint(output.Bold, "TLS"))
	days := int(t.Expires.Sub(now).Hours() / 24)
	expires := fmt.Sprintf("%s, in %d days", t.Expires.Format(time.DateOnly), days)
	if days < 30 {
		expires = w.Paint(output.Red, expires)
	}
	alpn := t.ALPN
	if alpn == "" {
		alpn = "none"
	}
	verified := "yes"
	if !t.Verified {
		verified = w.Paint(output.Red, "no")
	}
	for _, row := range [][2]string{
		{"version", t.Version}, {"cipher suite", t.Cipher}, {"ALPN", printable(alpn)},
		{"certificate", printable(t.Subject)}, {"issuer", printable(t.Issuer)}, {"names", printable(strings.Join(t.Names, ", "))},
		{"expires", expires}, {"verified", verified},
	} {
		fmt.Fprintf(b, "  %-12s  %s\n", row[0], row[1])
	}
}

// printable replaces what could control a terminal: much of it comes from the server.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError {
			return '\uFFFD'
		}
		return r
	}, s)
}
