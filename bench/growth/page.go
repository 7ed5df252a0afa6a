package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The tables stand between these lines of the page. The rest of it is written by hand.
const (
	tablesBegin = "<!-- tables: go run ./growth -update writes what follows -->\n"
	tablesEnd   = "<!-- end of tables -->\n"
)

// fill puts the tables into the page.
func (r *results) fill(page []byte) ([]byte, error) {
	before, rest, begins := bytes.Cut(page, []byte(tablesBegin))
	_, after, ends := bytes.Cut(rest, []byte(tablesEnd))
	if !begins || !ends {
		return nil, fmt.Errorf("the page has no lines %q and %q", tablesBegin, tablesEnd)
	}
	return slices.Concat(before, []byte(tablesBegin), r.tables(), []byte(tablesEnd), after), nil
}

func (r *results) tables() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s, %s.\n", r.Machine, r.Time.Format(time.DateOnly))
	r.table(&b, "Client", "client/")
	r.table(&b, "Broker", "broker/")
	b.WriteString("\n")
	return b.Bytes()
}

// table writes the figures of the kinds whose names begin with prefix.
func (r *results) table(b *bytes.Buffer, title, prefix string) {
	of := r.sizes(prefix)
	fmt.Fprintf(b, "\n### %s\n\n| there are | one more to |", title)
	for _, n := range of {
		fmt.Fprintf(b, " %s |", count(n))
	}
	fmt.Fprintf(b, " |\n|---|---|%s---|\n", strings.Repeat("---:|", len(of)))
	for _, k := range kinds {
		if !strings.HasPrefix(k.name, prefix) {
			continue
		}
		title := k.title
		for _, w := range r.rows(k.name) {
			what := w.what
			if w.bytes {
				what = "*memory of " + what + "*"
			}
			fmt.Fprintf(b, "| %s | %s |", title, what)
			for _, n := range of {
				fmt.Fprintf(b, " %s |", w.at(n))
			}
			mark := ""
			if w.grows() {
				mark = fmt.Sprintf("× %.0f", w.ratio())
			}
			fmt.Fprintf(b, " %s |\n", mark)
			title = ""
		}
	}
	for _, k := range kinds {
		if k.why != "" && strings.HasPrefix(k.name, prefix) {
			fmt.Fprintf(b, "\nThere are at most %s %s, because %s.\n", count(k.ends[len(k.ends)-1]), k.title, k.why)
		}
	}
}

// sizes returns all numbers for which there are figures.
func (r *results) sizes(prefix string) []int {
	all := make(map[int]bool)
	for _, f := range r.Figures {
		if strings.HasPrefix(f.Kind, prefix) {
			all[f.N] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// at returns the text for n, which is empty if that was not measured.
func (w *row) at(n int) string {
	for _, f := range w.figures {
		if f.N == n {
			return f.text()
		}
	}
	return ""
}

// count writes 10,000.
func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}
