package brokers

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var sessionRestart = behaviour{
	group: "Sessions", name: "survives a restart",
	what:     "a server that is stopped in order and started again has sessions, waiting messages and retained ones, and a client that stays goes on by itself",
	versions: newer, // a restart takes RabbitMQ seconds
	ends:     true,
	probe: func(p *probe) verdict {
		return p.over(p.server.Restart)
	},
	departures: []departure{
		{broker: "mochi", verdict: "loses sessions", or: []verdict{yes}, why: "waiting messages come in any order, or not at all; seen here with its bbolt hook"},
	},
}

var sessionCrash = behaviour{
	group: "Sessions", name: "survives a crash",
	what:     "the same after SIGKILL, right after the messages were acknowledged",
	versions: newer, // a restart takes RabbitMQ seconds
	ends:     true,
	probe: func(p *probe) verdict {
		return p.over(func() {
			p.server.Crash()
			p.server.Restart()
		})
	},
	departures: []departure{
		{broker: "Mosquitto", verdict: "loses sessions and retained messages", why: "it saves every half hour and when it ends in order; autosave_on_changes shortens the time, but it acknowledges before it saves"},
		{broker: "RabbitMQ", verdict: "loses retained messages", or: []verdict{yes}, why: "retained messages are saved every two seconds: mqtt.retained_message_store_dets_sync_interval"},
		{broker: "mochi", verdict: "loses sessions", or: []verdict{yes, "loses sessions and retained messages", "loses retained messages"}, why: "as over a restart"},
		{broker: "aedes", verdict: "loses retained messages", or: []verdict{yes, "loses sessions and retained messages", "loses sessions"}, why: "its persistence in LevelDB writes without waiting for the disk; seen here"},
	},
}

// over prepares a session, a message that waits in it and one that is retained, restarts
// the server, and says what is missing.
func (p *probe) over(restart func()) verdict {
	topic, keeper := p.topic(), mqtt.Config{ClientID: p.name(), Resume: true}
	absent := p.connect(keeper)
	p.subscribe(absent, topic, mqtt.AtLeastOnce)
	p.leave(absent)

	staying := p.connect(mqtt.Config{Reconnect: quick})
	stays := p.subscribe(staying, topic+"/staying", mqtt.AtLeastOnce)
	publisher := p.connect(mqtt.Config{Reconnect: quick})
	waiting := p.publishAll(publisher, topic, mqtt.AtLeastOnce, 3)
	p.publish(publisher, retain(topic+"/retained", "retained", mqtt.AtLeastOnce))

	events := staying.Watch(p.ctx)
	restart()
	p.lost(events)
	p.alive(staying) // until it has subscribed again, it gets nothing
	p.publish(publisher, text(topic+"/staying", "here", mqtt.AtLeastOnce))
	require.Equal(p, "here", string(p.next(stays).Payload))

	var lost []string
	if !p.waits(keeper, topic, waiting) {
		lost = append(lost, "sessions")
	}
	sub := p.subscribe(p.connect(mqtt.Config{}), topic+"/retained", mqtt.AtLeastOnce)
	if _, err := p.await(sub); err != nil {
		lost = append(lost, "retained messages")
	}
	if lost != nil {
		return verdict("loses " + strings.Join(lost, " and "))
	}
	return yes
}

// waits says whether the session of an absent client has the messages.
func (p *probe) waits(keeper mqtt.Config, topic string, waiting []string) bool {
	absent := p.connect(keeper)
	if !absent.ServerInfo().SessionPresent {
		return false
	}
	sub, err := absent.Route(topic)
	require.NoError(p, err)
	for _, want := range waiting {
		m, err := p.await(sub)
		if err != nil || string(m.Payload) != want {
			p.Log(m, err)
			return false
		}
	}
	return true
}
