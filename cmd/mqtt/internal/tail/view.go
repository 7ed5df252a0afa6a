package tail

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
)

// The styles use the colours of the terminal, so that they fit light and dark ones.
var (
	styleTitle    = lipgloss.NewStyle().Bold(true)
	styleFaint    = lipgloss.NewStyle().Faint(true)
	styleTopic    = lipgloss.NewStyle().Foreground(lipgloss.Cyan)
	styleBusy     = lipgloss.NewStyle().Foreground(lipgloss.Green)
	styleRetained = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	styleBad      = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	styleSelected = lipgloss.NewStyle().Reverse(true)
)

// View draws the screen.
func (m *model) View() tea.View {
	var lines []string
	switch {
	case m.help:
		lines = fitted(helpLines(), m.height-1)
		lines = append(lines, styleFaint.Render("any key goes back"))
	case m.detail != nil:
		lines = m.detail.lines(m.width, m.height-1, m.now)
		lines = append(lines, m.footer("↑↓ scroll  ←→ history  m mode  esc back"))
	default:
		lines = m.treeLines()
	}
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, m.width, "…")
	}
	v := tea.NewView(strings.Join(lines, "\n"))
	v.AltScreen = true
	v.MouseMode = tea.MouseModeCellMotion
	v.WindowTitle = "mqtt tail"
	return v
}

func (m *model) treeLines() []string {
	c := m.columns()
	lines := []string{m.header(), styleFaint.Render(c.heading())}
	rows := m.snapshot.rows
	for i := range m.page() {
		at := m.top + i
		if at >= len(rows) {
			lines = append(lines, m.empty(i))
			continue
		}
		line := c.row(&rows[at], m.now, at == m.at)
		lines = append(lines, line)
	}
	return append(lines, m.footer("↑↓ ←→ move  enter details  / filter  s sort  space pause  ? help  q quit"))
}

// empty says why there is nothing, in the first line of nothing.
func (m *model) empty(line int) string {
	switch {
	case line > 0 || len(m.snapshot.rows) > 0:
		return ""
	case m.filter.text != "":
		return styleFaint.Render("  no topic fits the filter")
	}
	return styleFaint.Render("  waiting for messages")
}

func (m *model) header() string {
	state := styleBusy.Render(m.state.text)
	if m.state.bad {
		state = styleBad.Render(m.state.text)
	}
	parts := []string{
		styleTitle.Render("mqtt tail") + " " + output.Clean(m.server, false), state,
		fmt.Sprintf("%d topics", m.snapshot.topics),
		fmt.Sprintf("%s messages", number(m.snapshot.messages)),
		rate(m.snapshot.rate),
		"by " + m.order.String(),
	}
	if m.paused {
		parts = append(parts, styleBad.Render("paused"))
	}
	return strings.Join(parts, styleFaint.Render(" · "))
}

// footer is the last line: the filter while it is typed, what is left out, or the keys.
func (m *model) footer(keys string) string {
	if m.typing {
		return "filter: " + output.Clean(m.typed, false) + styleSelected.Render(" ") + styleFaint.Render("  text, or a filter such as a/+/b; enter keeps it, esc ends it")
	}
	var notes []string
	if m.filter.text != "" {
		notes = append(notes, "filter "+output.Clean(m.filter.text, false)+" (esc ends it)")
	}
	if m.state.dropped > 0 {
		notes = append(notes, fmt.Sprintf("%s dropped, too fast for this program", number(m.state.dropped)))
	}
	if m.snapshot.full {
		notes = append(notes, fmt.Sprintf("%s messages left out: no room for more topics (--topics)", number(m.snapshot.leftOut)))
	}
	if m.snapshot.evicting {
		notes = append(notes, "the oldest values are let go: memory is full")
	}
	if notes == nil {
		return styleFaint.Render(keys)
	}
	return styleRetained.Render(strings.Join(notes, " · ")) + styleFaint.Render("  "+keys)
}

// columns are the widths of a line.
type columns struct{ name, value int }

const numbers = len("  9999.9/s  999.9k  59s ")

// columns gives the names what they need, within limits, and the values the rest.
func (m *model) columns() columns {
	need := 20
	for i := m.top; i < min(m.top+m.page(), len(m.snapshot.rows)); i++ {
		r := &m.snapshot.rows[i]
		need = max(need, 2*min(r.depth, 20)+2+ansi.StringWidth(output.Clean(r.name, false)))
	}
	name := min(need, max((m.width-numbers)/2, 10))
	return columns{name, max(m.width-name-numbers, 0)}
}

func (c columns) heading() string {
	return pad("topic", c.name) + "       rate   count  ago " + "value"
}

func (c columns) row(r *row, now time.Time, selected bool) string {
	marker := "  "
	if r.children > 0 {
		marker = "▸ "
		if r.open {
			marker = "▾ "
		}
	}
	name := output.Clean(r.name, false)
	if name == "" {
		name = "(empty)"
	}
	name = pad(strings.Repeat("  ", min(r.depth, 20))+marker+name, c.name)
	figures := fmt.Sprintf("%11s%8s%5s ", rate(r.rate), number(r.messages), ago(now, r.last))
	value := ""
	if r.has {
		value = oneLine(r.value)
		if r.size == 0 {
			value = "(empty)"
		}
	} else if r.children > 0 && !r.open {
		value = fmt.Sprintf("(%d below)", r.children)
	}
	flag := ""
	if r.retained {
		flag = "R "
	}
	value = ansi.Truncate(flag+value, c.value, "…")
	if selected {
		return styleSelected.Render(pad(name+figures+value, c.name+numbers+c.value))
	}
	if r.rate > 0 {
		figures = styleBusy.Render(figures)
	} else {
		figures = styleFaint.Render(figures)
	}
	if strings.HasPrefix(value, flag) && flag != "" {
		value = styleRetained.Render("R") + strings.TrimPrefix(value, "R")
	}
	return styleTopic.Render(name) + figures + value
}

// pad makes text exactly width cells wide.
func pad(text string, width int) string {
	text = ansi.Truncate(text, width, "…")
	return text + strings.Repeat(" ", max(width-ansi.StringWidth(text), 0))
}

// oneLine returns a payload for a line.
func oneLine(text string) string {
	return output.Clean(strings.Join(strings.Fields(text), " "), false)
}

func rate(r float64) string {
	switch {
	case r == 0:
		return "-"
	case r < 0.1:
		return fmt.Sprintf("%.2f/s", r)
	case r < 1000:
		return fmt.Sprintf("%.1f/s", r)
	}
	return number(uint64(r)) + "/s"
}

// number returns n in at most six characters.
func number(n uint64) string {
	switch {
	case n < 10_000:
		return strconv.FormatUint(n, 10)
	case n < 1_000_000:
		return fmt.Sprintf("%.1fk", float64(n)/1000)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1fG", float64(n)/1e9)
}

func ago(now, then time.Time) string {
	d := max(now.Sub(then), 0)
	switch {
	case then.IsZero():
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 100*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// fitted returns as many lines as there is room for.
func fitted(lines []string, height int) []string {
	for len(lines) < height {
		lines = append(lines, "")
	}
	return lines[:max(height, 0)]
}

func helpLines() []string {
	return strings.Split(strings.Trim(`
 mqtt tail

 ↑ ↓ k j          move                ← h        close a topic, or go up
 pgup pgdown      move a page         → l        open a topic, or go into it
 g G home end     first, last         c e        close all, open all

 enter            details: payload, properties, the last messages
 /                filter: a text, or a filter of MQTT such as a/+/b
 esc              end the filter
 s                sort by name, rate, or latest message
 space p          pause: the picture stays, counting goes on
 q ctrl+c         quit

 rate             messages a second, of the topic and all below it
 count            messages since the start, of the topic and all below it
 R                the value was retained: nobody knows how old it is`, "\n"), "\n")
}
