package brokers

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

// expired is how long the probes wait for what expires after a second: brokers count in
// whole seconds, and look once a second. It is the broker's clock that is probed.
const expired = 3200 * time.Millisecond

var messageExpiry = behaviour{
	group: "Properties of 5.0", name: "messages expire",
	what:     "a message that waits for an absent client is dropped when its time is over, and another comes with what is left of it",
	versions: only5,
	probe:    probeMessageExpiry,
}

func probeMessageExpiry(p *probe) verdict {
	topic, cfg := p.topic(), mqtt.Config{ClientID: p.name(), Resume: true, SessionExpiry: time.Hour}
	absent := p.connect(cfg)
	p.subscribe(absent, topic, mqtt.AtLeastOnce)
	require.NoError(p, absent.Disconnect(p.ctx))

	sender := p.connect(mqtt.Config{})
	send := func(payload string, expiry time.Duration) {
		p.publish(sender, &mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: mqtt.AtLeastOnce, MessageExpiryInterval: &expiry})
	}
	send("short", time.Second)
	send("long", time.Hour)
	<-time.After(expired)

	back := p.connect(cfg)
	defer p.forget(back)
	sub := p.subscribe(back, topic, mqtt.AtLeastOnce)
	m := p.next(sub)
	if string(m.Payload) == "short" {
		return "keeps it"
	}
	if m.MessageExpiryInterval == nil || *m.MessageExpiryInterval > time.Hour-2*time.Second {
		return "does not count down"
	}
	return yes
}

var sessionExpiry = behaviour{
	group: "Properties of 5.0", name: "sessions expire",
	what:     "a session of one second is gone after that, and one of an hour is not",
	versions: only5,
	probe:    probeSessionExpiry,
	departures: []departure{
		{broker: "mochi", verdict: "keeps the short one", or: []verdict{yes}, why: "it looks for expired sessions now and then"},
	},
}

func probeSessionExpiry(p *probe) verdict {
	short := mqtt.Config{ClientID: p.name(), Resume: true, SessionExpiry: time.Second}
	long := mqtt.Config{ClientID: p.name(), Resume: true, SessionExpiry: time.Hour}
	for _, cfg := range []mqtt.Config{short, long} {
		client := p.connect(cfg)
		p.subscribe(client, p.topic(), mqtt.AtLeastOnce)
		require.NoError(p, client.Disconnect(p.ctx))
	}
	<-time.After(expired)
	kept := p.connect(long)
	defer p.forget(kept)
	if !kept.ServerInfo().SessionPresent {
		return "forgets the long one"
	}
	gone := p.connect(short)
	defer p.forget(gone)
	if gone.ServerInfo().SessionPresent {
		return "keeps the short one"
	}
	return yes
}

// forget ends a client and its session (5.0).
func (p *probe) forget(c *mqtt.Client) {
	ctx, cancel := context.WithTimeout(p.ctx, p.patience)
	defer cancel()
	if err := c.DisconnectWith(ctx, mqtt.DisconnectOptions{SessionExpiry: new(time.Duration(0))}); err != nil {
		p.Log(err) // a broker that repeats a message leaves it unfinished
	}
}
