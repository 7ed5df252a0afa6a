package brokers

import "github.com/seed65a45251/mqtt"

var refusedPublish = behaviour{
	group: "Refusals", name: "a publish that is not permitted, QoS 1",
	what:       "the publisher is told so, and its other messages get through",
	on:         guarded,
	probe:      func(p *probe) verdict { return probeRefusedPublish(p, mqtt.AtLeastOnce) },
	departures: refusing,
}

var refusedPublish2 = behaviour{
	group: "Refusals", name: "a publish that is not permitted, QoS 2",
	what:       "the same at QoS 2",
	on:         guarded,
	probe:      func(p *probe) verdict { return probeRefusedPublish(p, mqtt.ExactlyOnce) },
	departures: refusing,
}

// inSilence is the verdict on a broker that acknowledges what it drops.
const inSilence = verdict("drops it in silence")

// refusing are the departures at either QoS.
var refusing = []departure{
	{broker: "Mosquitto", versions: before5, verdict: inSilence, why: "before 5.0 an acknowledgement has no reason"},
	{broker: "ours", versions: before5, verdict: inSilence, why: "before 5.0 an acknowledgement has no reason"},
	{broker: "NATS", verdict: inSilence, why: "before 5.0 an acknowledgement has no reason"},
	{broker: "RabbitMQ", verdict: "hangs up", why: "the client finds the message out and reports it"},
	{broker: "aedes", verdict: "hangs up", why: "it ends the connection; the client finds the message out and reports it"},
	{broker: "mochi", versions: before5, verdict: "protocol error", why: "it sends DISCONNECT, which only 5.0 has, and ends the connection; the client finds the message out and reports it"},
}

func probeRefusedPublish(p *probe, qos mqtt.QoS) verdict {
	sender := p.connect(impatient(mqtt.Config{}))
	err := p.publishSlowly(sender, &mqtt.Message{Topic: noPublish, Payload: []byte("?"), QoS: qos})
	p.goesOn(sender)
	if err == nil {
		return inSilence
	}
	p.Log(err)
	if v := reasonOf(err); v != "not authorized" {
		return v
	}
	return yes
}
