package fatetest

import (
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
	"github.com/seed65a45251/mqtt/wire"
)

// variant is one of the ways in which a cell is provoked.
type variant struct {
	memory  bool // connections in memory, fake time; otherwise real sockets
	version mqtt.Version
	async   bool // PublishAsync; otherwise Publish
	stored  bool // the client has a Store
}

func (v variant) String() string {
	words := []string{v.version.String(), "sockets", "Publish"}
	if v.memory {
		words[1] = "memory"
	}
	if v.async {
		words[2] = "PublishAsync"
	}
	return strings.Join(words, " ")
}

// TestMain lets more tests run at a time than there are processors: most of their time
// they wait.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		childMain()
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// run calls f in a world of its own.
func (v variant) run(t *testing.T, name string, f func(*world)) {
	t.Run(name+v.String(), func(t *testing.T) {
		t.Parallel()
		if !v.memory {
			f(newWorld(t, v))
			return
		}
		synctest.Test(t, func(t *testing.T) { f(newWorld(t, v)) })
	})
}

// world is a client called c, its servers, and an observer of each server, which gets
// every message that the server has passed on.
type world struct {
	*testing.T
	variant
	cfg     mqtt.Config
	mortal  bool // the client is to be killed
	process process
	client  *mqtt.Client // nil: in a process of its own
	dead    *atomic.Bool // the client in this process counts as killed
	disk    *conversation.Disk
	path    string             // of the Store on a real disk
	file    *bolt.File         // nil: not open
	servers []*mqtttest.Broker // two: the second is used when the first refuses
	traffic traffic
	release []func() // let held packets go

	observers []*mqtt.Subscription
	peers     []*mqtt.Client // of the observers
	others    int            // subscriptions of each

	mu            sync.Mutex
	refuses       map[*mqtttest.Broker]bool // CONNECTs of the client, for now
	failed        []int                     // sizes of the payloads that Undelivered was told of
	denies        bool                      // what the client publishes
	deniesFilters bool                      // those that it subscribes to
	moved         bool                      // the first server goes on refusing after heal
	ended         bool                      // the client has ended and has left nothing undone
}

func newWorld(t *testing.T, v variant) *world {
	w := &world{T: t, variant: v, refuses: map[*mqtttest.Broker]bool{}}
	w.cfg = mqtt.Config{ClientID: "c", Version: v.version, Resume: v.version < mqtt.V5}
	if !v.memory {
		w.cfg.Reconnect = quick
	}
	for range 2 {
		b := mqtttest.NewBrokerWith(t, mqtttest.Config{Broker: broker.Config{
			MaximumPacketSize: 64 << 20, EnhancedAuthenticators: []broker.EnhancedAuthenticator{secret{}},
			Authenticators: []broker.Authenticator{broker.AllowAll{}}, Authorizers: []broker.Authorizer{broker.AuthorizerFunc(w.authorize)},
		}})
		b.Control(0, func(p *mqtttest.Packet) { w.control(b, p) })
		w.servers = append(w.servers, b)
		w.observers = append(w.observers, w.observe(b))
	}
	return w
}

// url returns the URL of a server. Those in memory have names for Dial.
func (w *world) url(i int) string {
	if w.memory {
		return "mqtt://" + string(rune('a'+i))
	}
	return w.servers[i].URL()
}

// dialer returns a function for the network of one process.
func (w *world) dialer() func(ctx context.Context, network, address string) (net.Conn, error) {
	if !w.memory {
		return dialSmall
	}
	dead := new(atomic.Bool)
	w.dead = dead
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if dead.Load() {
			return nil, errDead
		}
		return w.servers[address[0]-'a'].Dial(ctx, network, address)
	}
}

var errDead = errors.New("the process was killed")

func (w *world) observe(b *mqtttest.Broker) *mqtt.Subscription {
	cfg := mqtt.Config{ClientID: "observer"}
	if w.memory {
		cfg.Dial = b.Dial
	}
	o, err := mqtt.Connect(w.Context(), b.URL(), cfg)
	require.NoError(w, err)
	w.Cleanup(func() { o.Close() })
	w.peers = append(w.peers, o)
	w.others = 1
	sub, err := o.Subscribe(w.Context(), "t", mqtt.ExactlyOnce)
	require.NoError(w, err)
	return sub
}

// connect makes the client.
func (w *world) connect() {
	w.Helper()
	if w.stored {
		w.disk, w.path = conversation.NewDisk(), filepath.Join(w.TempDir(), "store")
	}
	if w.mortal && !w.memory {
		w.process = startChild(w, w.path)
		return
	}
	w.startHere()
	require.NoError(w, w.client.WaitConnected(w.Context()))
	w.process = here{w, running{ctx: w.Context(), client: w.client}}
}

// startHere makes a client in the process of the test, with the Store that there is.
func (w *world) startHere() {
	w.Helper()
	cfg := w.cfg
	cfg.Dial = w.dialer()
	cfg.Undelivered = w.undelivered
	if w.stored {
		cfg.Store = w.open()
	}
	client, err := mqtt.Start(w.url(0), cfg)
	require.NoError(w, err)
	w.Cleanup(func() { client.Close() })
	w.client = client
}

func (w *world) open() store.Store {
	if w.memory {
		return w.disk
	}
	s, err := bolt.Open(w.path, bolt.Config{})
	require.NoError(w, err)
	w.Cleanup(func() { s.Close() })
	w.file = s
	return s
}

// gone waits until no server has a connection of the client, not even one that it has
// given up: that would take over the session of a later process.
func (w *world) gone() {
	w.Helper()
	for _, b := range w.servers {
		w.await("the server to see the end", func() bool { return b.Stats().Connections == 1 }) // the observer
	}
}

// succeed is a later process, which finds what the first has left. It returns how the
// message ends there.
func (w *world) succeed() (result string) {
	w.Helper()
	w.gone()
	if w.file != nil {
		require.NoError(w, w.file.Close())
	}
	w.refuse(w.servers...) // until it is known what is pending
	w.startHere()
	pending := map[*mqtt.Delivery]string{}
	for m, d := range w.client.Pending() {
		pending[d] = m.Topic
	}
	w.heal()
	require.NoError(w, w.client.WaitConnected(w.Context()))
	result = "not pending"
	for d, topic := range pending {
		if topic == "t" {
			_, err := d.Wait(w.Context())
			result = nameOf(err)
		}
	}
	w.settle()
	w.ended = w.ended && result != "not pending"
	return result
}

// control refuses the client where that is asked for, and records its packets.
func (w *world) control(b *mqtttest.Broker, p *mqtttest.Packet) {
	hello, ok := p.Packet.(*wire.Connect)
	if ok && hello.ClientID == "c" {
		w.mu.Lock()
		refused := w.refuses[b]
		w.mu.Unlock()
		if refused {
			p.Drop()
			p.Answer(&wire.Connack{ReasonCode: wire.ServerUnavailable})
			return
		}
	}
	if p.ClientID == "c" || ok && hello.ClientID == "c" {
		w.traffic.add(p)
	}
}

func (w *world) authorize(_ context.Context, a *broker.Access) broker.Decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	denied := a.Action == broker.PublishAction && w.denies || a.Action == broker.SubscribeAction && w.deniesFilters
	if denied && a.Peer.ClientID == "c" {
		return broker.Deny(wire.NotAuthorized, "")
	}
	return broker.Allow()
}

// offline takes the connection from the client, which gets no other until heal.
func (w *world) offline() {
	w.refuse(w.servers...)
	w.servers[0].Drop("c")
	w.await("the loss of the connection", func() bool { return !w.process.connected() })
}

func (w *world) refuse(servers ...*mqtttest.Broker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range servers {
		w.refuses[b] = true
	}
}

// hold keeps packets of these types from the client until heal.
func (w *world) hold(types ...wire.PacketType) { w.holdFrom(mqtttest.Down, types...) }

func (w *world) holdFrom(d mqtttest.Direction, types ...wire.PacketType) {
	for _, b := range w.servers {
		for _, t := range types {
			w.release = append(w.release, b.Hold(mqtttest.Match{Type: t, Direction: d, ClientID: "c", Times: -1}))
		}
	}
}

// heal ends what keeps the client from its servers, other servers than these apart.
func (w *world) heal() {
	for _, release := range w.release {
		release()
	}
	for _, b := range w.servers {
		b.Heal()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.servers {
		w.refuses[b] = w.refuses[b] && w.moved && b == w.servers[0]
	}
}

// lose ends the connection in the way of end. Without a connection that happened
// before, and end says what is found then.
func (w *world) lose(end func(...string)) { end("c") }

// shrink makes the first server announce less from now on than the message takes.
func (w *world) shrink() {
	w.servers[0].Control(wire.TypeConnack, func(p *mqtttest.Packet) {
		if ack := *p.Packet.(*wire.Connack); p.ClientID == "c" {
			ack.MaximumPacketSize = 64
			p.Replace(&ack)
		}
	})
}

// settle waits until the client has nothing left to do, and the server has what it
// has sent.
func (w *world) settle() {
	w.Helper()
	if w.client.Err() != nil {
		w.gone()
		return
	}
	require.NoError(w, w.client.Flush(w.Context()))
	// The server takes packets in their order. That it may refuse this one, too, does not
	// matter.
	w.client.Publish(w.Context(), "last", nil, mqtt.AtLeastOnce)
	w.ended = true
}

func (w *world) undelivered(u mqtt.Undelivered) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = append(w.failed, len(u.Message.Payload))
}

// told returns the sizes of the payloads that Undelivered was told of.
func (w *world) told() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.failed)
}

// current is the server that the client uses.
func (w *world) current() *mqtttest.Broker {
	if w.moved {
		return w.servers[1]
	}
	return w.servers[0]
}

// arrivals returns how often the servers have passed the message on.
func (w *world) arrivals() (n int) {
	w.Helper()
	for i, b := range w.servers {
		if w.memory {
			synctest.Wait()
		}
		b.Publish(&wire.Publish{Topic: "t", Payload: []byte("end"), QoS: wire.ExactlyOnce})
		for {
			ctx, cancel := context.WithTimeout(w.Context(), w.patience())
			m, err := w.observers[i].Next(ctx)
			cancel()
			require.NoError(w, err)
			if string(m.Payload) == "end" {
				break
			}
			n++
		}
	}
	return n
}

// await waits until something is so. It is asked again whenever a packet passes, and
// now and then because not everything shows in packets.
func (w *world) await(what string, so func() bool) {
	w.Helper()
	limit := time.After(w.patience())
	for {
		changed := w.traffic.changed()
		if w.memory {
			synctest.Wait()
		}
		if so() {
			return
		}
		select {
		case <-changed:
		case <-time.After(time.Millisecond):
		case <-limit:
			require.FailNow(w, "waited in vain for "+what)
		}
	}
}

func (w *world) patience() time.Duration {
	if w.memory {
		return time.Hour
	}
	return 30 * time.Second
}
