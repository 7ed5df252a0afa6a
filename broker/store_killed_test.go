package broker_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// brokerVariable names the directory in which this program is a broker instead of a
// test, as only another process can be killed.
const brokerVariable = "MQTT_TEST_BROKER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(brokerVariable); dir != "" {
		fmt.Fprintln(os.Stderr, serveUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveUntilKilled(dir string) error {
	s, err := bolt.Open(filepath.Join(dir, "store"), bolt.Config{LockTimeout: 10 * time.Second})
	if err != nil {
		return err
	}
	b, err := broker.Open(broker.Config{Store: s})
	if err != nil {
		return err
	}
	socket := filepath.Join(dir, "mqtt")
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := b.Listen(context.Background(), "unix", socket); err != nil {
		return err
	}
	select {}
}

// victim is a broker that is killed again and again.
type victim struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
}

func newVictim(t *testing.T) *victim {
	v := &victim{t: t, dir: t.TempDir()}
	v.start()
	t.Cleanup(v.kill)
	return v
}

func (v *victim) start() {
	v.t.Helper()
	program, err := os.Executable()
	require.NoError(v.t, err)
	v.cmd = exec.Command(program)
	v.cmd.Env = append(os.Environ(), brokerVariable+"="+v.dir)
	v.cmd.Stderr = v.t.Output()
	require.NoError(v.t, v.cmd.Start())
}

func (v *victim) kill() {
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait() // "killed" is what it is to say
}

func (v *victim) connect(id string, version mqtt.Version) *mqtt.Client {
	v.t.Helper()
	c, err := mqtt.Connect(v.t.Context(), "unix://"+filepath.Join(v.dir, "mqtt"), mqtt.Config{
		ClientID: id, Version: version, Resume: true, RetryFirst: true,
		Reconnect: reconnect.Policy{Min: time.Millisecond, Max: 20 * time.Millisecond},
	})
	require.NoError(v.t, err)
	v.t.Cleanup(func() { c.Close() })
	return c
}

// publishNumbers publishes 0 to n-1, with many on their way at a time.
func publishNumbers(ctx context.Context, c *mqtt.Client, topic string, qos mqtt.QoS, n int) error {
	g, ctx := errgroup.WithContext(ctx)
	window := make(chan *mqtt.Delivery, 200)
	g.Go(func() error {
		defer close(window)
		for i := range n {
			d, err := c.PublishAsync(ctx, &mqtt.Message{Topic: topic, Payload: binary.BigEndian.AppendUint32(nil, uint32(i)), QoS: qos})
			if err != nil {
				return err
			}
			select {
			case window <- d:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	g.Go(func() error {
		for d := range window {
			// The answer to what may have been finished before a CONNACK that got lost.
			if _, err := d.Wait(ctx); err != nil && !errors.Is(err, mqtt.PacketIdentifierNotFound) {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// receiveNumbers takes 0 to n-1 of each topic, in order. It returns how many came
// again.
func receiveNumbers(ctx context.Context, sub *mqtt.Subscription, topics, n int) (again int, err error) {
	next := map[string]uint32{}
	for first := 0; first < topics*n; {
		m, err := sub.Next(ctx)
		if err != nil {
			return again, fmt.Errorf("%w after %v", err, next)
		}
		switch i := binary.BigEndian.Uint32(m.Payload); {
		case i > next[m.Topic]:
			return again, fmt.Errorf("%s: %d after %d", m.Topic, i, int(next[m.Topic])-1)
		case i < next[m.Topic]:
			again++
		default:
			next[m.Topic]++
			first++
		}
	}
	return again, nil
}

// A broker that is killed at any moment loses nothing that it has acknowledged, keeps
// the order of each publisher, and delivers exactly once at QoS 2 where the session is proven.
func TestABrokerThatIsKilledLosesNothing(t *testing.T) {
	const (
		kills      = 20
		publishers = 3
		messages   = 15_000
	)
	for _, qos := range []mqtt.QoS{mqtt.AtLeastOnce, mqtt.ExactlyOnce} {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			v := newVictim(t)
			sub, err := v.connect("subscriber", mqtt.V5).Subscribe(t.Context(), "n/+", qos)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			g, ctx := errgroup.WithContext(ctx)
			again := 0
			var unproven atomic.Int64
			g.Go(func() (err error) {
				again, err = receiveNumbers(ctx, sub, publishers, messages)
				return err
			})
			for i := range publishers {
				version := []mqtt.Version{mqtt.V5, mqtt.V311}[i%2]
				c := v.connect(fmt.Sprint("publisher", i), version)
				countUnproven(t, c, &unproven)
				g.Go(func() error { return publishNumbers(ctx, c, fmt.Sprint("n/", i), qos, messages) })
			}
			finished := make(chan error, 1)
			go func() { finished <- g.Wait() }()
			killed := 0
			for done := false; !done; {
				select {
				case err = <-finished:
					done = true
				case <-time.After(time.Duration(20+rand.IntN(100)) * time.Millisecond):
					if killed < kills {
						killed++
						v.kill()
						v.start()
					}
				}
			}
			require.NoError(t, err)
			t.Logf("%d kills, %d messages came again", killed, again)
			require.Greater(t, killed, 3)
			if qos == mqtt.ExactlyOnce {
				// Before 5.0, what had its PUBREC is published again after a CONNACK that got lost.
				require.LessOrEqual(t, again, 20*int(unproven.Load()), "each unproven session may repeat a window")
			}
		})
	}
}

// countUnproven counts the connections of c whose session was not proven.
func countUnproven(t *testing.T, c *mqtt.Client, n *atomic.Int64) {
	events := c.Watch(t.Context())
	go func() {
		for e := range events {
			if e.Unproven {
				n.Add(1)
			}
		}
	}()
}
