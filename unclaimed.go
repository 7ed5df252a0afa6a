package mqtt

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
)

// unclaimed holds messages until a Subscription claims them: those of a resumed
// session at QoS 1 and 2, for a time, those that a handler has not finished, and if
// Config says so all that come before anybody could subscribe. They stay unacknowledged
// meanwhile. Guarded by router.mu.
type unclaimed struct {
	max      int
	holding  bool // the session is that of an earlier process, or everything waits at first
	lossy    bool // at QoS 0 as well
	held     []waiting
	bytes    int // of held
	shelf    shelf
	left     []session.Token // with the server, for want of room
	disowned map[string]bool // filters that this process has given up
	expected map[string]bool // filters that were left: the next one who wants them is to get what comes

	period   time.Duration // of waiting; negative: no end
	until    time.Time     // then nobody comes any more for what was inherited
	deadline *time.Timer
	told     time.Time // when Watch was last told
	untold   int       // messages dropped since
}

// waiting is a message that nobody has claimed.
type waiting struct {
	*Message
	kept bool // somebody had it and did not finish
}

// maxUnclaimedBytes bounds held in bytes. What comes beyond stays with the server.
const maxUnclaimedBytes = 16 << 20

// verdict says what becomes of a message that matches no Subscription.
type verdict uint8

const (
	unwantedNow  verdict = iota // acknowledge it, without a word
	unwantedLate                // likewise, and tell: somebody should have come for it
	worthHolding
	worthLeaving // there is no room
)

// judge says what becomes of a message.
func (u *unclaimed) judge(topic string, qos QoS, size int) verdict {
	firm := qos > AtMostOnce
	expected := firm && matches(u.expected, topic)
	switch {
	case expected:
	case !firm && !u.lossy:
		return unwantedNow
	case !u.holding || matches(u.disowned, topic):
		return unwantedNow
	case u.period >= 0 && u.until.IsZero():
		return unwantedNow // the session is our own, and nobody wants this
	case u.period >= 0 && !time.Now().Before(u.until):
		if !firm {
			return unwantedNow
		}
		return unwantedLate
	}
	full := len(u.left) > 0 || // order
		len(u.held) > 0 && u.bytes+size > maxUnclaimedBytes
	switch {
	case len(u.held) >= u.max && len(u.left) == 0, full && !firm:
		return unwantedNow
	case full:
		return worthLeaving
	}
	return worthHolding
}

func matches(filters map[string]bool, topic string) bool {
	for f := range filters {
		if match.MatchPlain(f, topic) {
			return true
		}
	}
	return false
}

// hold keeps m.
func (u *unclaimed) hold(m *Message, kept bool) {
	u.held = append(u.held, waiting{m, kept})
	u.bytes += m.weight()
}

// keep holds what somebody took and did not finish. The receive maximum bounds it.
func (u *unclaimed) keep(items []item) {
	for _, it := range items {
		if it.QoS > AtMostOnce {
			m := it.owned()
			m.receipt.move(&u.shelf)
			u.hold(m, true)
		} else {
			it.lease.release(1)
		}
	}
}

// claim takes out those held at from and behind it that routes match.
func (u *unclaimed) claim(routes []*route, from int) (claimed []*Message) {
	for _, t := range routes {
		for _, topics := range t.topics {
			delete(u.disowned, topics)
			delete(u.expected, topics)
		}
	}
	return u.takeOut(from, func(w waiting) bool {
		return slices.ContainsFunc(routes, func(t *route) bool { return t.matches(w.Topic) })
	})
}

// takeOut takes out those held at from and behind it that want says.
func (u *unclaimed) takeOut(from int, want func(waiting) bool) (out []*Message) {
	rest := slices.DeleteFunc(u.held[from:], func(w waiting) bool {
		mine := want(w)
		if mine {
			out = append(out, w.Message)
			u.bytes -= w.weight()
		}
		return mine
	})
	u.held = u.held[:from+len(rest)]
	return out
}

func (u *unclaimed) disown(filter string) {
	delete(u.expected, filter)
	if u.holding {
		u.disowned = u.note(u.disowned, filter)
	}
}

// expect makes what still comes on filter wait for the next who wants it. A server may
// go on to send what it had queued for this member of a group alone.
func (u *unclaimed) expect(filter string) { u.expected = u.note(u.expected, filter) }

func (u *unclaimed) note(filters map[string]bool, filter string) map[string]bool {
	if filters == nil {
		filters = make(map[string]bool)
	}
	if len(filters) >= max(u.max, 1) {
		clear(filters) // too old to matter: what they matched has long arrived
	}
	filters[filter] = true
	return filters
}

// fetch says, once, that there may be room for what was left with the server.
func (u *unclaimed) fetch() bool {
	if len(u.left) == 0 || u.bytes > maxUnclaimedBytes/2 {
		return false
	}
	u.left = nil
	return true
}

func (u *unclaimed) reconnected() { u.left = nil }

// stop ends the waiting, at the end of the client.
func (u *unclaimed) stop() {
	if u.deadline != nil {
		u.deadline.Stop()
	}
}

// resumed notes that the session is not one of this client alone: it may have
// filters, identifiers and messages of an earlier process. expire is called when nobody
// comes any more for what that has left.
func (r *router) resumed(expire func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inherited = true
	r.last = shortcut{}
	r.await(expire)
}

// catchAll lets everything wait that comes before somebody could ask for it.
func (r *router) catchAll(expire func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unclaimed.lossy = true
	r.await(expire)
}

// await makes messages wait from now on. Called with r.mu held.
func (r *router) await(expire func()) {
	u := &r.unclaimed
	u.holding = true
	if u.period >= 0 && u.until.IsZero() && r.closed == nil {
		u.until = time.Now().Add(u.period)
		u.deadline = time.AfterFunc(u.period, expire)
	}
}

// expire takes out what nobody has come for in time.
func (r *router) expire() (dropped []*Message, fetch bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := &r.unclaimed
	dropped = u.takeOut(0, func(w waiting) bool { return !w.kept && !matches(u.expected, w.Topic) })
	return dropped, u.fetch()
}

// holdUnclaimed looks after a message that matches no Subscription, and returns it
// if it is to be acknowledged. Called with router.mu held, by the reader.
func (c *Client) holdUnclaimed(in *session.Received) *Message {
	u := &c.router.unclaimed
	p := &in.Publish
	size := p.Cost()
	v := u.judge(p.Topic, p.QoS, size)
	if v == worthLeaving {
		u.left = append(u.left, in.Token)
		return nil
	}
	m := ownedMessage(in, c.holds.placeOne(&u.shelf, in.Token, size), false)
	if v == worthHolding {
		u.hold(m, false)
		return nil
	}
	if v == unwantedLate {
		u.untold++
	}
	return m
}

// leaveUnclaimed tells the engine what stays with the server because nobody has
// claimed it and there is no room.
func (c *Client) leaveUnclaimed(left []session.Token) {
	if len(left) == 0 {
		return
	}
	c.engine.do(func(engine *session.Client) {
		for _, t := range left {
			engine.Receiver.Leave(t)
		}
	})
}

// dropUnwanted acknowledges what nobody wants [MQTT-4.5.0-2].
func (c *Client) dropUnwanted(unwanted []*Message) {
	if len(unwanted) == 0 {
		return
	}
	c.engine.counters.unclaimed.Add(uint64(len(unwanted)))
	for _, m := range unwanted {
		m.receipt.settle(Success)
	}
	c.tellUnclaimed(unwanted[0].Topic)
}

// expireUnclaimed drops what an earlier process has left and nobody has come for.
func (c *Client) expireUnclaimed() {
	dropped, fetch := c.router.expire()
	if len(dropped) > 0 {
		c.router.mu.Lock()
		c.router.unclaimed.untold += len(dropped)
		c.router.mu.Unlock()
		c.dropUnwanted(dropped)
	}
	if fetch {
		c.renew()
	}
}

// untoldInterval is how long Watch hears nothing of further messages that are
// dropped.
const untoldInterval = time.Minute

// tellUnclaimed tells of messages that an earlier process, or the server, wanted and this
// process does not.
func (c *Client) tellUnclaimed(topic string) {
	u := &c.router.unclaimed
	now := time.Now()
	c.router.mu.Lock()
	n := u.untold
	if n > 0 && now.Sub(u.told) < untoldInterval {
		n = 0
	}
	if n > 0 {
		u.untold, u.told = 0, now
	}
	c.router.mu.Unlock()
	if n == 0 {
		return
	}
	c.cfg.Logger.Warn("mqtt messages dropped that nobody has claimed", "client_id", c.cfg.ClientID, "messages", n, "topic", topic)
	c.watchers.send(Event{State: c.State(), Err: fmt.Errorf(
		"%w: %d messages, one of them on topic %.80q, were acknowledged and dropped", ErrUnclaimed, n, topic)})
}
