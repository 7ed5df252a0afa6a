package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

// wellFormed reads all of an SVG.
func wellFormed(t *testing.T, svg string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
}

func TestPlotShowsLimitOursAndSomePeers(t *testing.T) {
	at := func(v float64) spread { return spread{Median: v, Min: 0.9 * v, Max: 1.2 * v} }
	one := func(client string, r role, rate float64) summary {
		return summary{Scenario: "pub0-256", Client: client, Role: r, Rate: at(rate), Limit: "raw64k", Peer: "a<b", OfPeer: ratio{spread: at(5)}}
	}
	r := result{Host: host{CPU: "Z80 & more"}, Summary: []summary{
		one("raw1", limit, 2e5), one("raw64k", limit, 1e6),
		one("sketch", sketch, 8e5), one("mqtt", ours, 5e5), one("mqtt-v311", ours, 7e5), one("mqtt-all", ours, 6e5),
		one("slow", peer, 1e3), one("a<b", peer, 1e5), one("second", peer, 9e4), one(mostUsed, peer, 10),
		one("elsewhere", unrouted, 8e5), one("failed", peer, 0),
		{Scenario: "seq1", Client: "other", Role: ours, Rate: at(1)},
	}}
	svg := string(r.plot())
	wellFormed(t, svg)
	for _, want := range []string{">limit<", ">sketch<", `<rect class="sketch"`, ">mqtt<", ">mqtt-all<", "600k · 5.0 × a&lt;b", ">a&lt;b<", ">second<", ">" + mostUsed + "<", "Z80 &amp; more"} {
		if !strings.Contains(svg, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, not := range []string{">raw1<", ">mqtt-v311<", ">slow<", ">elsewhere<", ">failed<", ">other<"} {
		if strings.Contains(svg, not) {
			t.Errorf("%q is drawn", not)
		}
	}
}

func TestPlotOfNothingIsWellFormed(t *testing.T) {
	wellFormed(t, string((&result{}).plot()))
}

func TestPlotHasWhiskersOfIntervals(t *testing.T) {
	r := result{Rounds: fewestRounds, Summary: []summary{
		{Scenario: "pub0-256", Client: "mqtt", Role: ours, Rate: spread{Median: 60, Min: 10, Max: 200, Low: 50, High: 100}},
	}}
	svg := string(r.plot())
	wellFormed(t, svg)
	// The bars begin at 125 and have 175 for the largest.
	if !strings.Contains(svg, `class="whisker" d="M212.5 `) || !strings.Contains(svg, "H300.0M") || !strings.Contains(svg, "95 % interval of 6 rounds") {
		t.Errorf("no whisker from 50 to 100 in\n%s", svg)
	}
	r.Rounds, r.Summary[0].Rate.Low, r.Summary[0].Rate.High = 5, 0, 0
	svg = string(r.plot())
	if !strings.Contains(svg, `class="whisker" d="M133.8 `) || !strings.Contains(svg, "range of 5 rounds") {
		t.Errorf("no range from 10 to 200 in\n%s", svg)
	}
}
