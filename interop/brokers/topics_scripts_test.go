package brokers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt"
)

// scripts are levels of topics that people use.
var scripts = map[string]string{
	"Arabic":          "حرارة",
	"Armenian":        "ջերմաստիճան",
	"Bengali":         "তাপমাত্রা",
	"Chinese":         "温度",
	"Cyrillic":        "температура",
	"Devanagari":      "तापमान",
	"Ethiopic":        "ሙቀት",
	"Georgian":        "ტემპერატურა",
	"Greek":           "θερμοκρασία",
	"Hebrew":          "טמפרטורה",
	"Japanese":        "温度センサー",
	"Korean":          "온도",
	"Latin, composed": "Größe/naïve",
	"Tamil":           "வெப்பநிலை",
	"Thai":            "อุณหภูมิ",
	"emoji":           "🌡️/👩‍🔧/🇪🇺",
	"beyond 16 bits":  "𝔐𝔔𝔗𝔗/𐍈",
}

// oddities are levels that the specification permits and that brokers stumble over.
var oddities = map[string]string{
	"empty levels":            "a//b/",
	"a dollar within":         "a/$b/c$",
	"spaces":                  " a / b ",
	"dots and stars":          "a.b/*.c/d",
	"two forms of one letter": "e\u0301/\u00e9",
	"zero width no-break":     "\ufeffa/b\ufeff",
	"percent and backslash":   `a%2Fb/c\d`,
	"quotes and brackets":     `"a"/'b'/{c}/[d]/<e>`,
	"upper and lower case":    "Temp/temp/TEMP",
	"long":                    strings.Repeat("level/", 30) + "end",
}

var topicScripts = behaviour{
	group: "Payloads and topics", name: "topics in every script",
	what:  "topics and filters in 17 scripts come back as they were, and each message at its own filter only",
	probe: func(p *probe) verdict { return probeTopics(p, scripts) },
}

var topicOddities = behaviour{
	group: "Payloads and topics", name: "topics with odd characters",
	what:  "the same for empty levels, spaces, dots, stars, quotes, combining marks, U+FEFF and many levels",
	probe: func(p *probe) verdict { return probeTopics(p, oddities) },
	departures: []departure{
		{broker: "RabbitMQ", verdict: "not with dots and stars", patience: 8 * time.Second, why: "its routing keys have dots for slashes and stars for plus signs, so that `a.b` comes as `a/b`"},
		{broker: "NATS", verdict: "not with spaces", why: "subjects have no spaces, as its documentation says"},
	},
}

// probeTopics subscribes to each topic as a filter and publishes to all. A message that
// comes nowhere, or elsewhere, tells the name of its topic.
func probeTopics(p *probe, topics map[string]string) verdict {
	base := p.topic()
	receiver, sender := p.connect(mqtt.Config{}), p.connect(mqtt.Config{})
	names := slices.Sorted(maps.Keys(topics))
	var failed []string
	subs := map[string]*mqtt.Subscription{}
	for _, name := range names {
		sub, err := receiver.Subscribe(p.ctx, base+"/"+topics[name], mqtt.AtLeastOnce)
		if err != nil {
			p.Logf("%s: %v", name, err)
			failed = append(failed, name)
			continue
		}
		subs[name] = sub
	}
	for _, name := range names {
		if subs[name] == nil {
			continue
		}
		topic := base + "/" + topics[name]
		m := &mqtt.Message{Topic: topic, Payload: []byte(name), QoS: mqtt.AtLeastOnce}
		if err := p.publishSlowly(sender, m); err != nil {
			p.Logf("%s: %v", name, err)
			failed = append(failed, name)
			continue
		}
		got, err := p.await(subs[name])
		if err != nil || got.Topic != topic || string(got.Payload) != name {
			p.Logf("%s: %v, %v", name, got, err)
			failed = append(failed, name)
		}
	}
	if len(failed) > 0 {
		return verdict(fmt.Sprintf("not with %s", strings.Join(failed, ", ")))
	}
	return yes
}
