package brokers

import (
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt"
)

var wildcards = behaviour{
	group: "Subscriptions", name: "wildcards",
	what:  "+ stands for one level, an empty one too, and # for any number of levels, none too",
	probe: probeWildcards,
	departures: []departure{
		{broker: "mochi", verdict: "not /+/+/#", why: "# behind + does not match the level above it; seen here"},
	},
}

// wildcardCases have a filter, topics that it does not match, and those that it does.
// Each begins with the topic of the probe.
var wildcardCases = []struct{ filter, others, matches string }{
	{"/a", "/b /a/b /aa", "/a"},
	{"/+", "/a/b", "/a /b"},
	{"/#", "x", "/ /a /a/b/c"},
	{"/a/#", "/b", "/a /a/b"},
	{"/+/c", "/a/b /a/b/c", "/a/c //c"},
	{"/a/+", "/a", "/a/ /a/b"},
	{"/+/+/#", "/a", "/a/b /a/b/c/d"},
}

func probeWildcards(p *probe) verdict {
	publisher := p.connect(mqtt.Config{})
	var wrong []string
	for _, c := range wildcardCases {
		topic := p.topic()
		sub := p.subscribe(p.connect(mqtt.Config{}), topic+c.filter, mqtt.AtLeastOnce)
		for t := range strings.FieldsSeq(c.others + " " + c.matches) {
			p.publish(publisher, text(topic+t, t, mqtt.AtLeastOnce))
		}
		p.publish(publisher, text(topic+strings.NewReplacer("+", "x", "#", "x").Replace(c.filter), "last", mqtt.AtLeastOnce))
		want := strings.Fields(c.matches)
		if got := p.until(sub, "last"); !slices.Equal(got, want) {
			p.Log(c.filter, got, want)
			wrong = append(wrong, c.filter)
		}
	}
	if wrong != nil {
		return verdict("not " + strings.Join(wrong, " "))
	}
	return yes
}
