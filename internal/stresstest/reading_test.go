package stresstest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/wire"
)

// flooder is a server on a socket that answers everything at once and sends numbered
// messages as fast as the client takes them.
type flooder struct {
	nc net.Conn
	mu sync.Mutex // held by whoever writes
}

func (f *flooder) write(b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.nc.Write(b)
	return err
}

// serve answers the client until it goes.
func (f *flooder) serve() error {
	defer f.nc.Close()
	r := wire.NewReader(f.nc, wire.V5, 0)
	d := wire.Decoder{Version: wire.V5, From: wire.FromClient}
	for {
		h, body, err := r.ReadPacket()
		if err != nil {
			return err
		}
		packet, err := d.Decode(h, body)
		if err != nil {
			return err
		}
		var answer wire.Packet
		switch in := packet.(type) {
		case *wire.Connect:
			answer = &wire.Connack{}
		case *wire.Subscribe:
			answer = &wire.Suback{PacketID: in.PacketID, ReasonCodes: make([]wire.ReasonCode, len(in.Filters))}
		case *wire.Pingreq:
			answer = &wire.Pingresp{}
		case *wire.Disconnect:
			return nil
		default:
			return fmt.Errorf("got %T", packet)
		}
		b, err := answer.Append(nil, wire.V5)
		if err != nil {
			return err
		}
		if err := f.write(b); err != nil {
			return err
		}
	}
}

// flood sends so many messages on each of the topics t0, t1 and so on: in bursts for one or
// for all, which reach the client in pieces.
func (f *flooder) flood(random *rand.Rand, topics, each int) error {
	next := make([]int, topics)
	for left := topics * each; left > 0; {
		to, most := random.IntN(topics+1), 1<<random.IntN(9)
		var b []byte
		for range 1 << random.IntN(12) {
			topic := to
			if to == topics {
				topic = random.IntN(topics)
			}
			if next[topic] == each {
				continue
			}
			var err error
			p := &wire.Publish{Topic: "t" + strconv.Itoa(topic), Payload: numberedPayload(next[topic], random.IntN(most))}
			if b, err = p.Append(b, wire.V5); err != nil {
				return err
			}
			next[topic]++
			left--
		}
		f.mu.Lock()
		for len(b) > 0 {
			n := 1 + random.IntN(len(b))
			if _, err := f.nc.Write(b[:n]); err != nil {
				f.mu.Unlock()
				return err
			}
			b = b[n:]
		}
		f.mu.Unlock()
	}
	return nil
}

func numberedPayload(number, size int) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+size), uint32(number))
	for i := range size {
		b = append(b, byte(number+7*i))
	}
	return b
}

// taker takes the messages of one Subscription, by one consumer after the other.
type taker struct {
	client *mqtt.Client
	sub    *mqtt.Subscription
	random *rand.Rand
	next   int
	each   int
	waits  bool               // for the server, now and then
	all    context.CancelFunc // there are no more
}

// take wants m to be the next message, untouched also when the server has been waited for.
func (k *taker) take(m *mqtt.Message) error {
	want := numberedPayload(k.next, max(0, len(m.Payload)-4))
	for range 2 {
		if string(m.Payload) != string(want) {
			return fmt.Errorf("%s: got %.20x instead of %.20x", m.Topic, m.Payload, want)
		}
		if !k.waits || k.random.IntN(2000) > 0 {
			break
		}
		if _, err := k.client.Ping(context.Background()); err != nil {
			return err
		}
	}
	if k.next++; k.next == k.each {
		k.all()
	}
	return nil
}

var errLeaves = errors.New("the consumer leaves")

// handle is take for a function that fails now and then. The next consumer gets the
// message.
func (k *taker) handle(_ context.Context, m *mqtt.Message) error {
	if k.random.IntN(3000) == 0 {
		return errLeaves
	}
	return k.take(m)
}

func (k *taker) handleAll(_ context.Context, batch []*mqtt.Message) error {
	if k.random.IntN(50) == 0 {
		return errLeaves
	}
	for _, m := range batch {
		if err := k.take(m); err != nil {
			return err
		}
	}
	return nil
}

// run has consumers of all kinds take the messages.
func (k *taker) run(ctx context.Context) error {
	ctx, k.all = context.WithCancel(ctx)
	for k.next < k.each {
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d have come", k.next, k.each)
		}
		life, end := ctx, context.CancelFunc(func() {})
		if k.random.IntN(2) == 0 {
			life, end = context.WithTimeout(ctx, time.Duration(k.random.IntN(20_000))*time.Microsecond)
		}
		err := k.consume(life, k.random.IntN(3000))
		end()
		if err != nil && !errors.Is(err, errLeaves) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return nil
}

// consume runs one consumer, for at most so many messages where the caller decides.
func (k *taker) consume(ctx context.Context, most int) error {
	switch k.random.IntN(6) {
	case 0, 1:
		return k.sub.Handle(ctx, k.handle)
	case 2:
		o := mqtt.BatchOptions{Messages: 1 + k.random.IntN(500), Wait: time.Duration(k.random.IntN(3)) * time.Millisecond}
		return k.sub.HandleBatches(ctx, o, k.handleAll)
	case 3:
		ctx, end := context.WithCancel(ctx)
		defer end()
		for m := range k.sub.Stream(ctx) {
			if err := k.take(m); err != nil {
				return err
			}
			if most--; most <= 0 {
				end()
			}
		}
	case 4:
		for m, err := range k.sub.All(ctx) {
			if err == nil {
				err = k.take(m)
			}
			if err != nil {
				return err
			}
			if most--; most <= 0 {
				return nil
			}
		}
	default:
		for range most {
			short, end := context.WithTimeout(ctx, time.Duration(k.random.IntN(1000))*time.Microsecond)
			m, err := k.sub.Next(short)
			end()
			if err == nil {
				err = k.take(m)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// A consumer that waits may read the connection itself. However consumers come, wait for
// the server and go, they get everything once, in order, and nobody waits for them.
func TestConsumersThatComeAndGoInAFloodLoseNothing(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			accepted := make(chan *flooder, 1)
			serving := Begin(func() error {
				nc, err := l.Accept()
				if err != nil {
					return err
				}
				f := &flooder{nc: nc}
				accepted <- f
				return f.serve()
			})
			client, err := mqtt.Connect(t.Context(), "mqtt://"+l.Addr().String(), mqtt.Config{Version: mqtt.V5, KeepAlive: -1})
			require.NoError(t, err)
			defer client.Close()
			f := <-accepted
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			topics, each, waits := 1+random.IntN(2), 10_000, seed%2 == 0
			var taking []*Call
			for i := range topics {
				o := mqtt.SubscribeOptions{Filters: Filters("t" + strconv.Itoa(i)), Lend: random.IntN(2) == 0,
					BufferMessages: each, BufferBytes: 64 << 20}
				if !waits { // nothing that the server says is noticed while a buffer is full
					o.Overflow, o.BufferMessages, o.BufferBytes = mqtt.Block, 1<<(4+random.IntN(9)), 1<<(12+random.IntN(10))
				}
				if random.IntN(4) == 0 {
					o.Concurrency = 4 // one at a time: they are of one topic
				}
				sub, err := client.SubscribeWith(ctx, o)
				require.NoError(t, err)
				k := &taker{client: client, sub: sub, random: rand.New(rand.NewPCG(seed, uint64(1+i))), each: each, waits: waits}
				taking = append(taking, Begin(func() error { return k.run(ctx) }))
			}
			flooding := Begin(func() error { return f.flood(random, topics, each) })
			for _, k := range taking {
				require.NoError(t, k.Wait())
			}
			require.NoError(t, flooding.Wait())
			stats := client.Stats()
			require.Equal(t, uint64(topics*each), stats.Received)
			require.Zero(t, stats.Dropped)
			require.NoError(t, client.Close())
			require.NoError(t, serving.Wait())
		})
	}
}
