package brokers

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
)

// mourner is a subscriber to the topic of wills, and a line for the client that has one.
type mourner struct {
	*probe
	topic string
	sub   *mqtt.Subscription
	line  *faultproxy.Proxy
}

func (p *probe) mourner() *mourner {
	p.Helper()
	m := &mourner{probe: p, topic: p.topic(), line: p.line()}
	m.sub = p.subscribe(p.connect(mqtt.Config{}), m.topic, mqtt.ExactlyOnce)
	return m
}

// client connects with a will that has this payload.
func (m *mourner) client(payload string, change func(*mqtt.Will)) *mqtt.Client {
	m.Helper()
	will := &mqtt.Will{Message: *text(m.topic, payload, mqtt.AtLeastOnce)}
	if change != nil {
		change(will)
	}
	return m.connect(mqtt.Config{Will: will, Reconnect: quick}, m.line.URL())
}

// cut ends the client's connection and lets no other through.
func (m *mourner) cut() {
	m.line.Refuse(true)
	m.line.Drop()
}

// fence publishes a message behind what came before, and returns the payloads until it
// comes.
func (m *mourner) fence() []string {
	m.Helper()
	m.publish(m.connect(mqtt.Config{}), text(m.topic, "fence", mqtt.AtLeastOnce))
	return m.until(m.sub, "fence")
}

var willSent = behaviour{
	group: "Wills", name: "sends a will",
	what:  "the will of a client whose connection breaks is published with its QoS",
	probe: probeWillSent,
}

func probeWillSent(p *probe) verdict {
	m := p.mourner()
	m.client("will", nil)
	m.cut()
	will := p.next(m.sub)
	require.Equal(p, "will", string(will.Payload))
	if will.QoS != mqtt.AtLeastOnce {
		return "with another QoS"
	}
	return yes
}

var willNotSent = behaviour{
	group: "Wills", name: "drops a will",
	what:  "the will of a client that leaves in order is not published",
	probe: probeWillNotSent,
}

func probeWillNotSent(p *probe) verdict {
	m := p.mourner()
	p.leave(m.client("will", nil))
	if len(m.fence()) != 0 {
		return "sends it"
	}
	return yes
}

var willOnRequest = behaviour{
	group: "Wills", name: "sends a will on request",
	what:     "a client that leaves with reason 0x04 has its will published",
	versions: only5,
	probe:    probeWillOnRequest,
}

func probeWillOnRequest(p *probe) verdict {
	m := p.mourner()
	client := m.client("will", nil)
	p.must(client.Disconnect(p.ctx, mqtt.DisconnectWithWill), "does not let the client go")
	require.Equal(p, "will", string(p.next(m.sub).Payload))
	return yes
}

var willRetained = behaviour{
	group: "Wills", name: "retains a will",
	what:  "a retained will reaches those that subscribe after it was published",
	probe: probeWillRetained,
}

func probeWillRetained(p *probe) verdict {
	m := p.mourner()
	m.client("will", func(w *mqtt.Will) { w.Retain = true })
	m.cut()
	p.next(m.sub)
	p.nextOr(p.subscribe(p.connect(mqtt.Config{}), m.topic, mqtt.AtLeastOnce), "does not retain it")
	return yes
}

var willDelayed = behaviour{
	group: "Wills", name: "delays a will",
	what:     "a will with a delay is published after it, and not at all when the client comes back before",
	versions: only5,
	probe:    probeWillDelayed,
}

func probeWillDelayed(p *probe) verdict {
	const delay = 2 * time.Second
	later := func(w *mqtt.Will) { w.DelayInterval = delay }
	m := p.mourner()
	back := m.client("came back", later)
	events := back.Watch(p.ctx)
	m.line.Drop()
	p.lost(events)
	p.alive(back)

	// The line of this one stays broken; its delay ends after that of the other.
	gone := p.mourner()
	gone.topic = m.topic
	gone.client("gone", later)
	begun := time.Now()
	gone.cut()
	switch will := p.next(m.sub); {
	case string(will.Payload) == "came back":
		return "sends it although the client is back"
	case time.Since(begun) < delay-time.Second/2:
		return "does not wait"
	}
	return yes
}
