package broker

import (
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/wire"
)

// will is the message to publish when a client disconnects without DISCONNECT.
type will struct {
	message wire.Publish
	delay   time.Duration
	peer    *Peer
	owner   *client // the stored session that keeps the will until the message is durable; nil: none
}

// newWill copies the will of a CONNECT, or returns nil.
func newWill(w *wire.Will, peer *Peer, v wire.Version) *will {
	if w == nil {
		return nil
	}
	p := wire.Publish{Topic: w.Topic, Payload: append([]byte(nil), w.Payload...), QoS: w.QoS, Retain: w.Retain}
	if v == wire.V5 {
		// [MQTT-3.1.3-10] the order of user properties is kept.
		p.Properties = copyProperties(&wire.PublishProperties{
			PayloadFormatUTF8:     w.PayloadFormatUTF8,
			MessageExpiryInterval: w.MessageExpiryInterval,
			ContentType:           w.ContentType,
			ResponseTopic:         w.ResponseTopic,
			CorrelationData:       w.CorrelationData,
			UserProperties:        w.UserProperties,
		})
	}
	return &will{message: p, delay: time.Duration(w.DelayInterval) * time.Second, peer: peer}
}

// publish sends the will, which has been taken out of the session: it is published
// once [MQTT-3.1.2-10].
func (w *will) publish(h *hub, now time.Time) {
	code := wire.Success
	if no := h.hooks.authorizePublish(w.peer, &w.message); no != nil {
		code = no.code
		w.finishWithout()
	} else {
		var r router
		m := newMessage(&w.message, w.peer.ClientID, now)
		m.unrefusable = true
		var pending *publication
		code, pending = h.publish(&r, m, now, publisher{will: w})
		r.flush()
		if pending != nil {
			return // committed does the rest
		}
		w.finishWithout()
	}
	if h.hooks.observed() {
		h.hooks.observe(Published{w.peer, &w.message, code})
	}
}

// takeWillLocked takes the will out of the session to publish it. A stored session
// keeps it in leaving until the message is stored. Called with client.mu held.
func (cl *client) takeWillLocked() *will {
	w := cl.will
	cl.will = nil
	cl.saves++
	if w != nil && cl.saved {
		w.owner = cl
		cl.leaving = append(cl.leaving, w)
	}
	return w
}

// commit adds t, the task of the message. [MQTT-3.1.2-10] The will is published once:
// the session loses it in the same Commit.
func (w *will) commit(h *hub, t *journal.Task) {
	cl := w.owner
	if cl == nil {
		h.persistence.Add(t)
		return
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	w.removeLocked()
	t.Ops = append(t.Ops, cl.saveLocked())
	h.persistence.Add(t)
}

// finishWithout removes the will from its session without a task: it needed none, or
// was refused.
func (w *will) finishWithout() {
	if cl := w.owner; cl != nil {
		cl.mu.Lock()
		defer cl.mu.Unlock()
		w.removeLocked()
		cl.saveLaterLocked()
	}
}

func (w *will) removeLocked() {
	cl := w.owner
	cl.leaving = slices.DeleteFunc(cl.leaving, func(each *will) bool { return each == w })
}

// costOfSession returns the memory of a session with its will.
func costOfSession(p *Peer, w *will) int {
	n := costOfPeer(p)
	if w != nil {
		n += willCost + w.message.Cost()
	}
	return n
}
