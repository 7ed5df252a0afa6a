// Package documented compares tables of limits in the documents with the code.
package documented

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Bytes is a number of bytes.
type Bytes int

// Row is one limit of a table with the columns limit and default.
type Row struct{ Limit, Default string }

// Rows returns the table below the heading of a page, without its head.
func Rows(t testing.TB, path, heading string) (rows []Row) {
	t.Helper()
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "\n"+heading+"\n")
	require.True(t, found, "%s has no %q", path, heading)
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "#") {
			break
		}
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 4 || strings.HasPrefix(cells[1], "---") {
			continue
		}
		rows = append(rows, Row{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])})
	}
	require.NotEmpty(t, rows)
	return rows[1:]
}

// Want fails unless the table below the heading of a page has these limits with these
// defaults, and no others. A default is a number, Bytes or a time.Duration.
func Want(t testing.TB, path, heading string, limits map[string]any) {
	t.Helper()
	want := make(map[string]string)
	for limit, value := range limits {
		want[limit] = text(value)
	}
	got := make(map[string]string)
	for _, row := range Rows(t, path, heading) {
		got[row.Limit] = row.Default
	}
	require.Equal(t, want, got, "%s, %s", path, heading)
}

// text writes a default as the documents do.
func text(value any) string {
	switch v := value.(type) {
	case Bytes:
		for _, unit := range []struct {
			size Bytes
			name string
		}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
			if v >= unit.size && v%unit.size == 0 {
				return fmt.Sprint(int(v/unit.size), " ", unit.name)
			}
		}
		return number(fmt.Sprint(int(v))) + " bytes"
	case time.Duration:
		if v >= 24*time.Hour {
			return fmt.Sprint(int(v/(24*time.Hour)), " days")
		}
		return v.String()
	}
	return number(fmt.Sprint(value))
}

// number puts commas between thousands.
func number(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
