package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// A test binary is the other process of a crowd, too.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-peers") {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestEveryKindMeasures(t *testing.T) {
	for _, k := range kinds {
		figures, err := k.figures(20, 0)
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
		}
		if len(figures) < 2 {
			t.Errorf("%s has %d figures", k.name, len(figures))
		}
		for _, f := range figures {
			if f.Kind != k.name || f.N != 20 || f.What == "" || f.Value < 0 {
				t.Errorf("%s: %+v", k.name, f)
			}
		}
	}
}

func of(kind, what string, bytes bool, costs ...float64) (all []figure) {
	n := 100
	for _, cost := range costs {
		all = append(all, figure{Kind: kind, What: what, N: n, Value: cost, Bytes: bytes})
		n *= 100
	}
	return all
}

func sample() *results {
	r := new(results)
	for i := range 3 {
		r.put([]figure{
			of("client/filters", "subscribe", false, 900, 1000, 2500)[i],
			of("client/filters", "a filter", true, 2000, 300, 310)[i],
			of("client/filters", "unsubscribe", false, 50, 5000, 500_000)[i],
			of("client/filters", "receive", false, 1, 2, 150)[i],
		})
	}
	r.put(of("broker/sockets", "connect", false, 1e4, 2e4)[:1])
	return r
}

func TestWhatGrowsIsMarked(t *testing.T) {
	var marked []string
	for _, w := range sample().rows("client/filters") {
		if w.grows() {
			marked = append(marked, w.what)
		}
	}
	if len(marked) != 1 || marked[0] != "unsubscribe" {
		t.Errorf("marked are %q", marked)
	}
}

func TestFiguresReplaceEarlierOnes(t *testing.T) {
	r := sample()
	n := len(r.Figures)
	r.put(of("client/filters", "subscribe", false, 7)[:1])
	if rows := r.rows("client/filters"); len(r.Figures) != n-3 || rows[0].at(100) != "7 ns" {
		t.Errorf("%d figures, %q", len(r.Figures), rows[0].at(100))
	}
}

func TestThePageKeepsItsText(t *testing.T) {
	page := "# Growth\n" + tablesBegin + "old\n" + tablesEnd + "after\n"
	filled, err := sample().fill([]byte(page))
	if err != nil {
		t.Fatal(err)
	}
	text := string(filled)
	for _, want := range []string{
		"# Growth\n", "after\n", "| there are | one more to | 100 | 10,000 | 1,000,000 | |",
		"| filters of one Subscription | subscribe | 900 ns | 1 µs | 2.5 µs |  |",
		"|  | *memory of a filter* | 1.95 KiB | 300 B | 310 B |  |", "|  | unsubscribe | 50 ns | 5 µs | 500 µs | × 100 |",
		"There are at most 10,000 connections by sockets, because ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "old") {
		t.Error("the old table is left")
	}
	if _, err := sample().fill([]byte("no lines")); err == nil {
		t.Error("a page without the lines was filled")
	}
}

func TestThePlotIsXML(t *testing.T) {
	d := xml.NewDecoder(bytes.NewReader(sample().plot()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
