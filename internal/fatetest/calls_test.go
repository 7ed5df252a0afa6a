package fatetest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// calling is a call that is under way.
type calling struct {
	*world
	call     *call
	serve    func() // lets happen what the call waits for, if it still does; nil: it only needs its server
	lost     bool   // the connection was lost
	before   [2]int // CONNACKs and SUBACKs before that
	renews   bool   // the server that the client comes to has no subscription of it
	asked    *call  // a Request of another client that the call is to answer; nil: none
	finishes bool   // Disconnect waits for it
	filter   kind   // what the call does with a filter
}

type kind int

const (
	neither kind = iota
	subscribes
	unsubscribes
)

// begin has the call begin, and returns when it waits.
func (c *calling) begin(f func(context.Context) error) {
	c.call = begin(c.Context(), f)
	c.call.awaitWaiting()
	if c.memory {
		synctest.Wait()
	}
}

func (c *calling) subscribe(filter string) *mqtt.Subscription {
	sub, err := c.client.Subscribe(c.Context(), filter, mqtt.AtLeastOnce)
	require.NoError(c, err)
	return sub
}

// subscribed is whether the server in use has a subscription beside the observer's.
func (c *calling) subscribed() bool { return c.current().Stats().Subscriptions > c.others }

func (c *calling) lose(end func(...string)) {
	c.lost, c.before = true, c.greetings()
	end("c")
}

// greetings returns how many CONNACKs and SUBACKs there were.
func (c *calling) greetings() [2]int {
	return [2]int{c.traffic.count(mqtttest.Down, wire.TypeConnack), c.traffic.count(mqtttest.Down, wire.TypeSuback)}
}

// awaitPacket waits until a packet of a type has gone in a direction.
func (c *calling) awaitPacket(d mqtttest.Direction, t wire.PacketType) {
	c.await(t.String(), func() bool { return c.traffic.count(d, t) > 0 })
}

// callState is what a call is doing: a row.
type callState struct {
	before func(*world) // nil: nothing to prepare
	reach  func(*calling)
}

var callStates = map[string]callState{
	"Subscribe, waits for a connection": {reach: func(c *calling) {
		c.offline()
		beginSubscribe(c)
	}},
	"Subscribe, waits for SUBACK": {reach: func(c *calling) {
		c.hold(wire.TypeSuback)
		beginSubscribe(c)
		c.awaitPacket(mqtttest.Down, wire.TypeSuback)
	}},
	"Unsubscribe, waits for a connection": {reach: func(c *calling) {
		sub := c.subscribe("s")
		c.offline()
		c.filter = unsubscribes
		c.begin(sub.Unsubscribe)
	}},
	"Unsubscribe, waits for UNSUBACK": {reach: func(c *calling) {
		sub := c.subscribe("s")
		c.hold(wire.TypeUnsuback)
		c.filter = unsubscribes
		c.begin(sub.Unsubscribe)
		c.awaitPacket(mqtttest.Down, wire.TypeUnsuback)
	}},
	"Drain, waits for a consumer": {reach: func(c *calling) {
		sub := c.subscribe("t")
		c.servers[0].Publish(&wire.Publish{Topic: "t", Payload: []byte("x"), QoS: wire.AtLeastOnce})
		c.await("the message", func() bool { return c.client.Stats().Received > 0 })
		c.filter = unsubscribes
		c.begin(sub.Drain)
		c.awaitPacket(mqtttest.Down, wire.TypeUnsuback)
		c.serve = func() { sub.Next(c.Context()) }
	}},
	"Next, waits for a message": {reach: func(c *calling) {
		sub := c.subscribe("t")
		c.begin(func(ctx context.Context) error {
			_, err := sub.Next(ctx)
			return err
		})
		c.serve = func() { c.current().Publish(&wire.Publish{Topic: "t", Payload: []byte("x"), QoS: wire.AtLeastOnce}) }
	}},
	"Request, waits for a connection": {before: responders, reach: func(c *calling) {
		c.offline()
		beginRequest(c)
	}},
	"Request, waits for its response": {before: responders, reach: func(c *calling) {
		c.hold(wire.TypePublish)
		beginRequest(c)
		c.awaitPacket(mqtttest.Down, wire.TypePublish)
	}},
	"Respond, is answering": {reach: beginRespond},
	"Flush, waits for a connection": {reach: func(c *calling) {
		c.offline()
		c.process.ahead(message{Topic: "t", Size: 1, QoS: mqtt.AtLeastOnce})
		c.finishes = true
		c.begin(c.client.Flush)
	}},
	"Flush, waits for PUBACK": {reach: func(c *calling) {
		c.hold(wire.TypePuback)
		c.process.ahead(message{Topic: "t", Size: 1, QoS: mqtt.AtLeastOnce})
		c.awaitPacket(mqtttest.Down, wire.TypePuback)
		c.finishes = true
		c.begin(c.client.Flush)
	}},
	"Reconnect, waits for a connection": {reach: func(c *calling) {
		c.offline()
		c.begin(c.client.Reconnect)
	}},
	"WaitConnected, waits for a connection": {reach: func(c *calling) {
		c.offline()
		c.begin(c.client.WaitConnected)
	}},
	"Reauthenticate, waits for AUTH": {
		before: func(w *world) { w.cfg.Authenticator = secret{} },
		reach: func(c *calling) {
			c.hold(wire.TypeAuth)
			c.begin(c.client.Reauthenticate)
			c.awaitPacket(mqtttest.Up, wire.TypeAuth)
			c.awaitPacket(mqtttest.Down, wire.TypeAuth)
		},
	},
}

func beginSubscribe(c *calling) {
	c.filter = subscribes
	c.begin(func(ctx context.Context) error {
		_, err := c.client.Subscribe(ctx, "s", mqtt.AtLeastOnce)
		return err
	})
}

// responders has the observers answer what is asked.
func responders(w *world) {
	for i, o := range w.peers {
		go o.Respond(w.Context(), "ask", func(context.Context, *mqtt.Message) (*mqtt.Message, error) {
			return &mqtt.Message{Topic: "answers"}, nil
		})
		w.servers[i].WantSubscribed("ask")
	}
	w.others++
}

func beginRequest(c *calling) {
	c.finishes = true
	c.begin(func(ctx context.Context) error {
		m := &mqtt.Message{Topic: "ask", QoS: mqtt.AtLeastOnce}
		if c.version < mqtt.V5 {
			m.ResponseTopic = "answers"
		}
		_, err := c.client.Request(ctx, m)
		return err
	})
}

// beginRespond has the call work on a request of the observer, until it is served.
func beginRespond(c *calling) {
	entered, release := make(chan struct{}, 10), make(chan struct{})
	c.begin(func(ctx context.Context) error {
		return c.client.Respond(ctx, "question", func(ctx context.Context, _ *mqtt.Message) (*mqtt.Message, error) {
			entered <- struct{}{}
			select {
			case <-release:
				return &mqtt.Message{Topic: "answers"}, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		})
	})
	c.awaitPacket(mqtttest.Down, wire.TypeSuback)
	m := &mqtt.Message{Topic: "question", QoS: mqtt.AtLeastOnce}
	if c.version < mqtt.V5 {
		m.ResponseTopic = "answers"
	}
	c.asked = begin(c.Context(), func(ctx context.Context) error {
		_, err := c.peers[0].Request(ctx, m)
		return err
	})
	<-entered
	c.finishes = true
	c.serve = sync.OnceFunc(func() { close(release) })
}

// secret authenticates both sides with nothing.
type secret struct{}

func (secret) Method() string                                              { return "secret" }
func (secret) AuthenticationMethod() string                                { return "secret" }
func (secret) Start(context.Context) (mqtt.AuthExchange, []byte, error)    { return secret{}, nil, nil }
func (secret) Begin(*broker.Login) broker.Exchange                         { return secretServer{} }
func (secret) Continue(context.Context, []byte) (answer []byte, err error) { return nil, nil }
func (secret) Finish(context.Context, []byte) error                        { return nil }

type secretServer struct{}

func (secretServer) Next(context.Context, []byte) ([]byte, broker.Decision) {
	return nil, broker.Allow()
}

// callEvents are what can happen: columns.
var callEvents = map[string]struct {
	before func(*calling) // nil: nothing to prepare
	happen func(*calling)
}{
	"its context ends": {happen: func(c *calling) {
		c.call.cancel()
		if c.asked != nil {
			c.serve() // it still answers what has come
		}
		c.over(c.call)
	}},
	"connection lost, session resumed": {happen: func(c *calling) { c.lose(c.servers[0].Drop) }},
	"connection lost, session gone": {happen: func(c *calling) {
		c.renews = true
		c.lose(c.servers[0].LoseSession)
	}},
	"another server": {before: func(c *calling) { c.cfg.Servers = []string{c.url(1)} }, happen: func(c *calling) {
		c.moved, c.renews = true, true
		c.refuse(c.servers[0])
		c.lose(c.servers[0].Drop)
	}},
	"the server refuses it": {before: func(c *calling) { c.denies, c.deniesFilters = true, true }, happen: func(*calling) {}},
	"Close":                 {happen: func(c *calling) { c.client.Close() }},
	"Disconnect": {happen: func(c *calling) {
		ending := begin(c.Context(), func(ctx context.Context) error { return c.client.Disconnect(ctx) })
		ending.awaitWaiting()
		if c.finishes {
			c.heal()
		} else {
			c.over(ending) // it waits for none of these, so nothing may come meanwhile
		}
		if c.serve != nil {
			c.serve()
		}
		c.over(ending)
	}},
	"Disconnect: its context ends": {happen: func(c *calling) {
		ctx, cancel := context.WithCancel(c.Context())
		cancel()
		c.client.Disconnect(ctx)
	}},
}

// TestCalls provokes each cell of the section of that name.
func TestCalls(t *testing.T) {
	table := document(t)["Calls"]
	require.NotNil(t, table)
	requireSame(t, table.rows, callStates)
	requireSame(t, table.columns, callEvents)
	for row, s := range callStates {
		for column, e := range callEvents {
			t.Run(row+"/"+column, func(t *testing.T) {
				t.Parallel()
				for _, v := range variants() {
					want := expected(table.cells[row][column], v.version, 0)
					if want == impossible || v.async && v.memory {
						continue
					}
					v.run(t, "", func(w *world) {
						c := &calling{world: w}
						for _, before := range []func(){func() {
							if s.before != nil {
								s.before(w)
							}
						}, func() {
							if e.before != nil {
								e.before(c)
							}
						}} {
							before()
						}
						w.connect()
						s.reach(c)
						e.happen(c)
						w.heal()
						require.Equal(w, want, c.outcome(want))
					})
				}
			})
		}
	}
}

// waits is what a call is said to do that goes on and on.
const waits = "waits"

func (c *calling) outcome(want string) string {
	if c.client.Err() == nil {
		c.await("the next connection", func() bool { return !c.lost || c.greetings()[0] > c.before[0] })
		if c.serve != nil {
			c.await("SUBACK", func() bool { return c.filter != neither || !c.renews || c.greetings()[1] > c.before[1] })
			c.serve()
		}
	}
	if c.memory {
		time.Sleep(time.Minute)
	}
	result := c.result(strings.HasPrefix(want, waits))
	if c.asked != nil {
		return result + c.answered(!strings.HasSuffix(want, "unanswered"))
	}
	if c.filter == neither || c.client.Err() != nil {
		return result
	}
	// A call that nobody waits for any more may have something to take back.
	subscribed := c.filter == subscribes && result == "nil"
	c.await("the subscription", func() bool { return c.subscribed() == subscribed })
	return result
}

// result returns what the call returned, or that it waits. In real time only the document
// knows whether that is worth waiting for.
func (c *calling) result(mayWait bool) string {
	if mayWait || c.memory {
		select {
		case <-c.call.done:
		default:
			c.call.cancel()
			c.over(c.call)
			return waits
		}
	}
	c.over(c.call)
	return nameOf(c.call.err)
}

// answered says whether the other client has got its answer.
func (c *calling) answered(worthWaiting bool) string {
	if worthWaiting && !c.memory {
		c.over(c.asked)
	}
	select {
	case <-c.asked.done:
		if c.asked.err == nil {
			return ", answered"
		}
	default:
		c.asked.cancel()
		c.over(c.asked)
	}
	return ", unanswered"
}
