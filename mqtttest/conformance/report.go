package conformance

import (
	"fmt"
	"io"
	"strings"

	"github.com/seed65a45251/mqtt/wire"
)

// Column is one program of a report.
type Column struct {
	Name    string
	Results []Result
}

// WriteMatrix writes a Markdown table of statements and programs in one version: a
// line for each statement that the version has, in the order given, and a column for
// each program. What was seen stands below the table, numbered.
func WriteMatrix(w io.Writer, v wire.Version, statements []*Statement, columns []Column) error {
	var table, notes strings.Builder
	table.WriteString("| statement | says |")
	var rule strings.Builder
	rule.WriteString("|---|---|")
	found := make([]map[string]Result, len(columns))
	for i, c := range columns {
		fmt.Fprintf(&table, " %s |", c.Name)
		rule.WriteString("---|")
		found[i] = byName(c.Results, v)
	}
	table.WriteString("\n" + rule.String() + "\n")
	count := 0
	for _, s := range statements {
		numbers := s.Numbers(v)
		if len(numbers) == 0 {
			continue
		}
		fmt.Fprintf(&table, "| %s | %s |", ShowNumbers(numbers), cell(s.Text))
		for i, c := range columns {
			r, ok := found[i][s.Name]
			switch {
			case !ok:
				table.WriteString(" |")
				continue
			case r.Detail == "" || r.Outcome == NotObserved || r.Outcome == Cannot:
				fmt.Fprintf(&table, " %s |", r.Outcome)
				continue
			}
			count++
			fmt.Fprintf(&table, " %s (%d) |", r.Outcome, count)
			fmt.Fprintf(&notes, "%d. %s, %s: %s\n", count, c.Name, s.Name, r.Detail)
		}
		table.WriteString("\n")
	}
	if notes.Len() > 0 {
		table.WriteString("\n" + notes.String())
	}
	_, err := io.WriteString(w, table.String())
	return err
}

// WriteCounts writes a Markdown table of how often each outcome occurred, with a line
// for each program and version.
func WriteCounts(w io.Writer, versions []wire.Version, columns []Column) error {
	var table strings.Builder
	table.WriteString("| program | version |")
	var rule strings.Builder
	rule.WriteString("|---|---|")
	for _, name := range outcomes {
		fmt.Fprintf(&table, " %s |", name)
		rule.WriteString("---|")
	}
	table.WriteString("\n" + rule.String() + "\n")
	for _, c := range columns {
		for _, v := range versions {
			counts := Count(c.Results, v)
			if counts == ([len(outcomes)]int{}) {
				continue
			}
			fmt.Fprintf(&table, "| %s | %s |", c.Name, v)
			for _, n := range counts {
				fmt.Fprintf(&table, " %d |", n)
			}
			table.WriteString("\n")
		}
	}
	_, err := io.WriteString(w, table.String())
	return err
}

// Count returns how many results of a version have each outcome.
func Count(results []Result, v wire.Version) (counts [len(outcomes)]int) {
	for _, r := range results {
		if r.Version == v {
			counts[r.Outcome]++
		}
	}
	return counts
}

// ShowNumbers returns the numbers of a statement as the text writes them.
func ShowNumbers(numbers []string) string {
	shown := make([]string, len(numbers))
	for i, n := range numbers {
		if shown[i] = n; strings.HasPrefix(n, "MQTT-") {
			shown[i] = "[" + n + "]"
		}
	}
	return strings.Join(shown, ", ")
}

func byName(results []Result, v wire.Version) map[string]Result {
	found := make(map[string]Result, len(results))
	for _, r := range results {
		if r.Version == v {
			found[r.Name] = r
		}
	}
	return found
}

// cell returns text that a table can hold.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}
