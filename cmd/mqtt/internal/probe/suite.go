package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Options say how far a probe goes.
type Options struct {
	Deep       bool
	Timeout    time.Duration // of each check
	Prefix     string        // first levels of all topics
	MaxPayload int           // the largest payload that is tried, in bytes
	MaxTopic   int           // the longest topic that is tried, in bytes
	MaxFilters int           // most filters in one SUBSCRIBE that are tried
}

// suite is what the checks of one run share. It belongs to one goroutine.
type suite struct {
	dialer    *dialer
	options   Options
	version   wire.Version  // that the checks speak
	announced *wire.Connack // of that version; nil: none was accepted
	qos       wire.QoS      // the highest that the server takes
	works     string        // why no message comes back; "": they do

	name  string  // of this run, in client identifiers and topics
	count int     // of client identifiers
	peers []*peer // open

	mu       sync.Mutex
	retained map[string]bool         // guarded by mu: topics that may have a retained message
	retains  bool                    // guarded by mu: the server has taken a retained message
	sessions map[string]wire.Version // guarded by mu: client identifiers that may have a session
}

func newSuite(d *dialer, o Options) *suite {
	return &suite{
		dialer: d, options: o, name: strings.ToLower(rand.Text()[:10]),
		retained: map[string]bool{}, sessions: map[string]wire.Version{},
	}
}

// topic returns a topic of this run.
func (s *suite) topic(name string) string { return s.options.Prefix + "/" + s.name + "/" + name }

// clientID returns an identifier that no other client has. Without one in the
// configuration it is one that every server takes: at most 23 letters and digits.
func (s *suite) clientID() string {
	s.count++
	id := s.dialer.cfg.ClientID // rights may depend on it
	if id == "" {
		id = "probe"
	}
	return fmt.Sprintf("%s%s%d", id, s.name, s.count)
}

// keepAlive is that of all connections but those that test it, in seconds.
const keepAlive = 60

// connect opens a connection that ends with the check. change may be nil.
func (s *suite) connect(ctx context.Context, change func(*wire.Connect)) (*peer, *wire.Connack, error) {
	return s.connectAs(ctx, s.version, change)
}

func (s *suite) connectAs(ctx context.Context, v wire.Version, change func(*wire.Connect)) (*peer, *wire.Connack, error) {
	p := &wire.Connect{ClientID: s.clientID(), CleanStart: true, KeepAlive: keepAlive}
	if change != nil {
		change(p)
	}
	if p.SessionExpiryInterval > 0 || v < wire.V5 && !p.CleanStart {
		s.mu.Lock()
		s.sessions[p.ClientID] = v
		s.mu.Unlock()
	}
	k, ack, err := connect(ctx, s.dialer, v, p)
	if _, unreached := errors.AsType[*unreachedError](err); unreached && p.CleanStart {
		s.mu.Lock()
		delete(s.sessions, p.ClientID) // there was none before, either
		s.mu.Unlock()
	}
	if err != nil {
		return nil, nil, err
	}
	s.peers = append(s.peers, k)
	return k, ack, nil
}

// pair opens a subscriber with one filter, and a publisher.
func (s *suite) pair(ctx context.Context, filter wire.SubscribeFilter) (sub, pub *peer, err error) {
	if sub, _, err = s.connect(ctx, nil); err != nil {
		return nil, nil, err
	}
	if _, err = sub.subscribe(ctx, &wire.Subscribe{Filters: []wire.SubscribeFilter{filter}}); err != nil {
		return nil, nil, err
	}
	pub, _, err = s.connect(ctx, nil)
	return sub, pub, err
}

// closePeers ends all connections in order.
func (s *suite) closePeers() {
	var done sync.WaitGroup
	for _, k := range s.peers {
		done.Go(func() { k.disconnect(&wire.Disconnect{}) })
	}
	done.Wait()
	s.peers = nil
}

// retain publishes a retained message, which is removed at the end of the run.
func (s *suite) retain(ctx context.Context, k *peer, topic, payload string) error {
	s.mu.Lock()
	s.retained[topic] = true
	s.mu.Unlock()
	_, err := k.publish(ctx, &wire.Publish{Topic: topic, Payload: []byte(payload), Retain: true, QoS: s.acknowledged()})
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, refused := errors.AsType[*refusedError](err); refused {
		delete(s.retained, topic)
	}
	s.retains = s.retains || err == nil
	return err
}

// acknowledged is the QoS of messages of which the server has to say that it has them.
func (s *suite) acknowledged() wire.QoS { return min(s.qos, wire.AtLeastOnce) }

// markText begins the payload of messages that show that earlier ones have arrived.
const markText = "mark "

// until publishes a last message to topic, which sub has subscribed to, waits for it, and
// returns what has come before, and shortly after.
func (s *suite) until(ctx context.Context, sub, pub *peer, topic string, qos wire.QoS) (before []*wire.Publish, err error) {
	mark := markText + rand.Text()
	if _, err := pub.publish(ctx, &wire.Publish{Topic: topic, Payload: []byte(mark), QoS: qos}); err != nil {
		return nil, err
	}
	if qos == 0 {
		if _, err := pub.ping(ctx); err != nil { // it may have been disconnected before
			return nil, err
		}
	}
	for {
		m, err := sub.next(ctx)
		if err != nil {
			return before, fmt.Errorf("the last message did not come: %w", err)
		}
		if string(m.Payload) == mark {
			break
		}
		before = append(before, m)
	}
	for _, m := range sub.rest(ctx) {
		if string(m.Payload) != mark { // a further copy of it
			before = append(before, m)
		}
	}
	return before, nil
}

// cleanTime bounds the removal of what a run has left.
const cleanTime = 20 * time.Second

// clean removes retained messages and sessions. It is for the end of a run, also of one
// that was interrupted.
func (s *suite) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), cleanTime, errSlow)
	defer cancel()
	s.closePeers()
	defer s.closePeers()
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if len(s.retained) > 0 {
		errs = append(errs, s.clearLocked(ctx))
	}
	for id, v := range s.sessions {
		// A clean start ends the session that was there, and leaves none.
		k, _, err := connect(ctx, s.dialer, v, &wire.Connect{ClientID: id, CleanStart: true, KeepAlive: keepAlive})
		if err != nil {
			errs = append(errs, fmt.Errorf("the session of client %q may be left: %w", id, err))
			continue
		}
		k.disconnect(&wire.Disconnect{})
		delete(s.sessions, id)
	}
	return errors.Join(errs...)
}

// clearLocked removes the retained messages. The caller holds s.mu.
func (s *suite) clearLocked(ctx context.Context) error {
	k, _, err := s.connect(ctx, nil)
	if err != nil {
		return fmt.Errorf("retained messages below %s may be left: %w", s.topic(""), err)
	}
	for topic := range s.retained {
		_, err := k.publish(ctx, &wire.Publish{Topic: topic, Retain: true, QoS: s.acknowledged()})
		if _, gone := errors.AsType[*goneError](err); gone && !s.retains {
			return nil // the server hangs up on the retain flag
		}
		if err != nil {
			return fmt.Errorf("retained messages below %s may be left: %w", s.topic(""), err)
		}
		delete(s.retained, topic)
	}
	_, err = k.ping(ctx) // so that the server has taken them at QoS 0, too
	return err
}

// The reasons not to run a check.

func needs5(s *suite) string {
	if s.version < wire.V5 {
		return "needs MQTT 5.0"
	}
	return s.works
}

func needsMessages(s *suite) string { return s.works }

// available is what an absent property of CONNACK means.
func available(b *bool) bool { return b == nil || *b }

// all returns the first reason of several.
func all(reasons ...func(*suite) string) func(*suite) string {
	return func(s *suite) string {
		for _, reason := range reasons {
			if why := reason(s); why != "" {
				return why
			}
		}
		return ""
	}
}

func announces(what string, of func(*wire.Connack) *bool) func(*suite) string {
	return func(s *suite) string {
		if s.announced != nil && !available(of(s.announced)) {
			return "the server has announced that it has no " + what
		}
		return ""
	}
}

var (
	needsRetained = announces("retained messages", func(a *wire.Connack) *bool { return a.RetainAvailable })
	needsWildcard = announces("wildcard subscriptions", func(a *wire.Connack) *bool { return a.WildcardSubscriptionAvailable })
	needsShared   = announces("shared subscriptions", func(a *wire.Connack) *bool { return a.SharedSubscriptionAvailable })
	needsIDs      = announces("subscription identifiers", func(a *wire.Connack) *bool { return a.SubscriptionIDAvailable })
)

func needsQoS(q wire.QoS) func(*suite) string {
	return func(s *suite) string {
		if s.qos < q {
			return fmt.Sprintf("the server's maximum QoS is %d", s.qos)
		}
		return ""
	}
}
