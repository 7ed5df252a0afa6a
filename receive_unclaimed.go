package mqtt

import (
	"slices"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
)

// unclaimed holds messages until a Subscription claims them: those of a resumed
// session at QoS 1 and 2, for a time, those that a handler has not finished, and if
// Config says so all that come before anybody could subscribe. They stay unacknowledged
// meanwhile.
//
// Its lock is taken behind router.mu where a message finds no Subscription and has to be
// held, or a Subscription is added and has to claim, in one step; and before the locks
// of queues and holds. Nothing of it is called with the lock of a queue held.
type unclaimed struct {
	holds  *holds
	max    int
	period time.Duration // of waiting; negative: no end

	mu       sync.Mutex // guards all below
	holding  bool       // the session is that of an earlier process, or everything waits at first
	lossy    bool       // at QoS 0 as well
	messages []waiting
	bytes    int // of messages
	list     holdList
	onServer []session.Token // left there, for want of space
	disowned map[string]bool // filters that this process has given up
	expected map[string]bool // filters that were left: the next Subscription that wants them is to get what comes
	stopped  bool

	until      time.Time // then nobody comes any more for what was inherited
	deadline   *time.Timer
	told       time.Time // when Watch was last told
	unreported int       // messages dropped since
}

// waiting is a message that nobody has claimed.
type waiting struct {
	*Message
	kept bool // somebody had it and did not finish
}

// maxUnclaimedBytes bounds messages in bytes. What comes beyond stays with the server.
const maxUnclaimedBytes = 16 << 20

func (u *unclaimed) init(h *holds, most int, period time.Duration) {
	u.holds, u.max, u.period = h, most, period
}

// verdict says what becomes of a message that matches no Subscription.
type verdict uint8

const (
	unwantedNow  verdict = iota // acknowledge it, without a word
	unwantedLate                // likewise, and tell: somebody should have come for it
	worthHolding
	worthLeaving // there is no space
)

// offer looks after a message that matches no Subscription. It returns the message if
// it is to be acknowledged, and says whether it is to be left with the server.
func (u *unclaimed) offer(in *session.Received) (unwanted *Message, leave bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := &in.Publish
	size := p.Cost()
	v := u.judgeLocked(p.Topic, p.QoS, size)
	if v == worthLeaving {
		u.onServer = append(u.onServer, in.Token)
		return nil, true
	}
	m := ownedMessage(in, u.holds.placeOne(&u.list, in.Token, size), false)
	switch v {
	case worthHolding:
		u.addLocked(m, false)
		return nil, false
	case unwantedLate:
		u.unreported++
	}
	return m, false
}

// judgeLocked says what becomes of a message.
func (u *unclaimed) judgeLocked(topic string, qos QoS, size int) verdict {
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
	full := len(u.onServer) > 0 || // order
		len(u.messages) > 0 && u.bytes+size > maxUnclaimedBytes
	switch {
	case len(u.messages) >= u.max && len(u.onServer) == 0, full && !firm:
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

func (u *unclaimed) addLocked(m *Message, kept bool) {
	u.messages = append(u.messages, waiting{m, kept})
	u.bytes += m.weight()
}

// keep holds what somebody took and did not finish. The receive maximum bounds it.
func (u *unclaimed) keep(messages []*Message) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, m := range messages {
		m.acknowledger.moveTo(&u.list)
		u.addLocked(m, true)
	}
}

// claim takes out what waits on topics, which are wanted from now on.
func (u *unclaimed) claim(topics []string) []*Message {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wantLocked(topics)
	return u.takeLocked(topics)
}

// want notes that somebody wants topics.
func (u *unclaimed) want(topics []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wantLocked(topics)
}

func (u *unclaimed) wantLocked(topics []string) {
	for _, t := range topics {
		delete(u.disowned, t)
		delete(u.expected, t)
	}
}

// disclaim takes out what waits on topics: nobody will claim it, nor what comes.
func (u *unclaimed) disclaim(topics []string) []*Message {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, t := range topics {
		u.disownLocked(t)
	}
	return u.takeLocked(topics)
}

// takeLocked takes out what waits on topics.
func (u *unclaimed) takeLocked(topics []string) []*Message {
	if len(topics) > fewRoutes && len(u.messages) > 0 {
		var tree match.Tree[struct{}]
		for _, t := range topics {
			tree.Insert(t, struct{}{})
		}
		return u.takeIfLocked(func(w waiting) bool {
			for range tree.Match(w.Topic) {
				return true
			}
			return false
		})
	}
	return u.takeIfLocked(func(w waiting) bool {
		return slices.ContainsFunc(topics, func(f string) bool { return match.MatchPlain(f, w.Topic) })
	})
}

func (u *unclaimed) takeIfLocked(want func(waiting) bool) (taken []*Message) {
	u.messages = slices.DeleteFunc(u.messages, func(w waiting) bool {
		wanted := want(w)
		if wanted {
			taken = append(taken, w.Message)
			u.bytes -= w.weight()
		}
		return wanted
	})
	return taken
}

// noteUnwanted notes that nobody here wants topics any more. With expected what still comes on
// them waits for the next that does: a server may go on to send what it had queued for
// this member of a group alone.
func (u *unclaimed) noteUnwanted(topics []string, expected bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, t := range topics {
		if expected {
			u.expected = u.note(u.expected, t)
		} else {
			u.disownLocked(t)
		}
	}
}

func (u *unclaimed) disownLocked(filter string) {
	delete(u.expected, filter)
	if u.holding {
		u.disowned = u.note(u.disowned, filter)
	}
}

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

// hasSpaceAgain says, once, that there may be space for what was left with the server.
func (u *unclaimed) hasSpaceAgain() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.onServer) == 0 || u.bytes > maxUnclaimedBytes/2 {
		return false
	}
	u.onServer = nil
	return true
}

// reconnected forgets what was left with the server: a new connection brings it.
func (u *unclaimed) reconnected() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.onServer = nil
}

// any reports whether anything waits.
func (u *unclaimed) any() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.messages) > 0
}

// startWaiting makes messages wait from now on, those at QoS 0 too with lossy. expire is
// called when nobody comes any more for what an earlier process has left.
func (u *unclaimed) startWaiting(lossy bool, expire func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lossy = u.lossy || lossy
	u.holding = true
	if u.period >= 0 && u.until.IsZero() && !u.stopped {
		u.until = time.Now().Add(u.period)
		u.deadline = time.AfterFunc(u.period, expire)
	}
}

// startHolding makes messages of the session wait without an end of their own: the server
// keeps the filters of a handler that has ended.
func (u *unclaimed) startHolding() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.holding = true
}

// expired takes out what nobody has come for in time.
func (u *unclaimed) expired() (dropped []*Message) {
	u.mu.Lock()
	defer u.mu.Unlock()
	dropped = u.takeIfLocked(func(w waiting) bool { return !w.kept && !matches(u.expected, w.Topic) })
	u.unreported += len(dropped)
	return dropped
}

// stop ends the waiting, at the end of the client.
func (u *unclaimed) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	if u.deadline != nil {
		u.deadline.Stop()
	}
}

// forget leaves all that waits to the server.
func (u *unclaimed) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.messages = nil
}

// unreportedInterval is how long Watch hears nothing of further messages that are
// dropped.
const unreportedInterval = time.Minute

// takeUnreported returns how many messages were dropped that Watch is to be told of now.
func (u *unclaimed) takeUnreported() (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	if u.unreported == 0 || now.Sub(u.told) < unreportedInterval {
		return 0
	}
	n, u.unreported, u.told = u.unreported, 0, now
	return n
}
