package fatetest

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

// table is what a section of the document says: cells by row and column. The tables of
// a section have the same rows and different columns.
type table struct {
	rows, columns []string
	cells         map[string]map[string]string
}

// document returns the tables of docs/guarantees.md by the titles of their sections.
func document(t *testing.T) map[string]*table {
	t.Helper()
	text, err := os.ReadFile("../../docs/guarantees.md")
	require.NoError(t, err)
	return parse(t, string(text))
}

func parse(t *testing.T, text string) map[string]*table {
	t.Helper()
	tables := map[string]*table{}
	var section string
	var header []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
		}
		if !strings.HasPrefix(line, "|") {
			header = nil
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(strings.ReplaceAll(cell, "`", "")))
		}
		switch {
		case header == nil:
			header = cells
		case strings.HasPrefix(cells[0], "--"), header[0] == "word": // a legend
		default:
			if tables[section] == nil {
				tables[section] = &table{cells: map[string]map[string]string{}}
			}
			tables[section].add(t, header, cells)
		}
	}
	return tables
}

func (a *table) add(t *testing.T, header, cells []string) {
	t.Helper()
	require.Len(t, cells, len(header), "%q", cells)
	row := cells[0]
	if a.cells[row] == nil {
		a.rows = append(a.rows, row)
		a.cells[row] = map[string]string{}
	}
	for i, column := range header[1:] {
		if !slices.Contains(a.columns, column) {
			a.columns = append(a.columns, column)
		}
		require.NotContains(t, a.cells[row], column, "two cells for %q", row)
		require.NotEmpty(t, cells[i+1], "no cell for %q, %q", row, column)
		a.cells[row][column] = cells[i+1]
	}
}

// impossible is the cell of what cannot happen.
const impossible = "–"

// expected returns what a cell says of a version and a QoS. "a; 3.1.1: b" says b of
// 3.1.1, and "a; QoS 2: b" says b of QoS 2.
func expected(cell string, v mqtt.Version, qos mqtt.QoS) string {
	parts := strings.Split(cell, "; ")
	for _, p := range parts[1:] {
		for key, is := range map[string]bool{"3.1.1: ": v == mqtt.V311, "QoS 2: ": qos == mqtt.ExactlyOnce} {
			if special, ok := strings.CutPrefix(p, key); ok && is {
				return special
			}
		}
	}
	return parts[0]
}

// requireSame checks that what is tested is what the document names.
func requireSame[V any](t *testing.T, names []string, tested map[string]V) {
	t.Helper()
	require.ElementsMatch(t, names, slices.Collect(maps.Keys(tested)))
}

func TestParse(t *testing.T) {
	tables := parse(t, `
| not | a table |
|---|---|
| of | a section |

## One
| word | meaning |
|---|---|
| again | once more |

| row | a | b |
|---|---|---|
| x | again, `+"`ErrClosed`"+` | – |
| y | 1; 3.1.1: 2 | 3; QoS 2: 4 |

More columns.

| row | c |
|---|---|
| x | 4 |
| y | 5 |
`)
	one := tables["One"]
	require.Equal(t, []string{"x", "y"}, one.rows)
	require.Equal(t, []string{"a", "b", "c"}, one.columns)
	require.Equal(t, map[string]string{"a": "again, ErrClosed", "b": impossible, "c": "4"}, one.cells["x"])
	require.Equal(t, "1", expected(one.cells["y"]["a"], mqtt.V5, 1))
	require.Equal(t, "2", expected(one.cells["y"]["a"], mqtt.V311, 2))
	require.Equal(t, "3", expected(one.cells["y"]["b"], mqtt.V311, 1))
	require.Equal(t, "4", expected(one.cells["y"]["b"], mqtt.V5, 2))
}
