package simulation

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// heal ends all faults and lets everybody finish with every server.
func (w *world) heal() {
	w.note("--- everything is well from now on")
	w.healed = true
	for _, p := range w.orphans {
		p.up = nil
		p.link.end("the network is repaired")
	}
	w.buryOrphans()
	for _, s := range w.servers {
		s.refusing, s.Lazy = 0, false
	}
	for _, d := range w.devices {
		if d.disk != nil {
			if d.disk.left = 0; d.disk.broken {
				d.crash(0, 0)
			}
			d.commit()
		}
		if d.pipe != nil {
			d.drop(nil, 0)
			w.orphan(0, 0)
		}
	}
	for range 8 {
		before := w.tally.Handed + len(w.deliveries)
		for _, s := range w.servers {
			for _, d := range w.devices {
				w.finish(d, s)
			}
		}
		if w.fault != nil || w.tally.Handed+len(w.deliveries) == before {
			return
		}
	}
	w.fail("liveness: the clients never come to rest")
}

// finish lets d finish with s.
func (w *world) finish(d *device, s *server) {
	if d.pipe != nil && d.pipe.link.server != s {
		d.drop(nil, len(d.pipe.up))
		w.orphan(0, 1<<20)
	}
	for range 200 {
		d.connect(s)
		d.settle(2)
		for len(d.held) > 0 {
			d.acknowledge(0)
		}
		d.settle(2)
		if w.fault != nil || d.pipe != nil && d.unrest(s) == "" {
			return
		}
		w.wait(time.Second)
	}
	w.fail("liveness: %s does not come to rest at %s: %s", d.name, s.name, d.unrest(s))
}

// unrest says what is not finished.
func (d *device) unrest(s *server) string {
	k := s.keeps[d]
	queued, _ := d.engine.Sender.Queued()
	if d.disk != nil {
		n, _ := d.journal.Waiting()
		queued += n
	}
	switch {
	case !d.engine.Connected():
		return "it is not connected"
	case queued > 0:
		return "messages wait in its queue"
	case d.engine.Sender.Inflight() > 0:
		return "messages are in flight"
	case k == nil:
		return "there is no session"
	case len(k.queue) > 0:
		return "messages wait at the server"
	case len(k.open) > 0:
		return "the server waits for acknowledgements"
	case len(d.pipe.up)+len(d.pipe.down)+d.engine.Pending() > 0:
		return "bytes are in flight"
	}
	if d.mon.fresh && d.engine.Receiver.Unfinished() > 0 {
		return "it remembers messages of a session that is gone"
	}
	if s.restored && d.mon.version == wire.V311 {
		return "" // nothing shows what the server has forgotten
	}
	for _, in := range d.interests {
		want := in.Filters[0]
		if got, ok := k.subs[want.Filter]; !ok || got.qos < min(want.QoS, s.MaximumQoS) || d.mon.version == wire.V5 && got.id != in.SubscriptionIDs[0] {
			return "it is not subscribed to " + want.Filter
		}
	}
	return ""
}
