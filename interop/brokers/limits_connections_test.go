package brokers

import (
	"errors"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt"
)

var connections = behaviour{
	group: "Limits", name: "limit of connections",
	what:     "a client beyond the limit is told why it is refused; those inside stay, and a place that becomes free can be taken",
	versions: newer,
	on:       limited,
	probe:    probeConnections,
	departures: []departure{
		{broker: "Mosquitto", verdict: "takes it", why: "each connection that ends, in whatever way, raises the limit by one until Mosquitto is started again (2.0.11). Beyond the limit it hangs up without a word"},
		{broker: "RabbitMQ", verdict: "not authorized", why: "it refuses a client beyond the limit of a virtual host as it refuses a wrong password"},
		{broker: "NATS", verdict: "hangs up", why: "it closes the connection without CONNACK"},
		{broker: "aedes", verdict: "takes it", why: "it has no limit"},
	},
}

func probeConnections(p *probe) verdict {
	cfg := mqtt.Config{KeepAlive: keepAliveLimit * time.Second / 2}
	var inside []*mqtt.Client
	for range connectionLimit {
		inside = append(inside, p.enter(cfg))
	}
	_, refusal := p.try(cfg)
	for _, c := range inside {
		_, err := c.Ping(p.ctx)
		p.must(err, "another client loses its connection")
		if c.Stats().Lost > 0 {
			return "another client loses its connection"
		}
	}
	if refusal == nil {
		return "takes it"
	}
	p.Log(refusal)
	p.leave(inside[0])
	p.enter(cfg)
	why := []mqtt.ReasonCode{mqtt.ServerUnavailable, mqtt.ServerBusy, mqtt.QuotaExceeded}
	if slices.ContainsFunc(why, func(c mqtt.ReasonCode) bool { return errors.Is(refusal, c) }) {
		return yes
	}
	return reasonOf(refusal)
}

// enter connects to a server that may need a while to notice that others have left.
func (p *probe) enter(cfg mqtt.Config) *mqtt.Client {
	p.Helper()
	if client, err := p.try(cfg); err == nil {
		return client
	}
	cfg.RetryFirst, cfg.Reconnect = true, quick
	cfg.Permanent = func(error) bool { return false }
	client, err := p.try(cfg)
	p.must(err, "lets nobody in where a place is free")
	return client
}
