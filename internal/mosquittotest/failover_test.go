package mosquittotest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// ear counts the payloads that a Subscription gets.
type ear struct {
	mu  sync.Mutex
	got map[string]int
}

func listen(t *testing.T, sub *mqtt.Subscription) *ear {
	e := &ear{got: map[string]int{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for m, err := range sub.All(t.Context()) {
			if err != nil {
				return
			}
			e.mu.Lock()
			e.got[string(m.Payload)]++
			e.mu.Unlock()
		}
	})
	t.Cleanup(wg.Wait)
	return e
}

func (e *ear) count(payload string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.got[payload]
}

// failoverSite is a server behind a line that can be cut, with a client that hears
// what is published there and can publish itself.
type failoverSite struct {
	server *mosquitto.Server
	line   *faultproxy.Proxy
	local  *mqtt.Client
	heard  *ear
}

func newSite(t *testing.T, server *mosquitto.Server) *failoverSite {
	s := &failoverSite{server: server}
	s.line = faultproxy.New(t, s.server.Addr())
	s.local = connectTo(t, s.server.URL(), mqtt.Config{Reconnect: eager})
	s.heard = listen(t, subscribeTo(t, s.local, "out", mqtt.ExactlyOnce))
	return s
}

// open says whether clients get through to the site.
func (s *failoverSite) open(open bool) {
	s.line.Refuse(!open)
	if !open {
		s.line.Drop()
	}
}

// A client with two servers that share nothing goes from one to the other and back, a
// hundred times, while it publishes. What Publish said to be delivered is on one of
// them, and the Subscription receives wherever the client is.
func TestMosquittoFailoverAndBackUnderLoad(t *testing.T) {
	const publishers, switches = 8, 100
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		t.Run(v.String(), func(t *testing.T) {
			a, b := startServer(t, mosquitto.Options{}), startServer(t, mosquitto.Options{})
			sites := []*failoverSite{newSite(t, a), newSite(t, b)}
			sites[1].open(false)
			cfg := keeping(v, "mover")
			cfg.AlwaysSubscribe, cfg.Resume = false, v != mqtt.V5 // what a user would have
			cfg.Servers = []string{sites[1].line.URL()}
			client := connectTo(t, sites[0].line.URL(), cfg)
			in := listen(t, subscribeTo(t, client, "in", mqtt.AtLeastOnce))
			events := client.Watch(testContext(t))

			stop := make(chan struct{})
			var delivered [publishers][]string
			g, ctx := errgroup.WithContext(testContext(t))
			for p := range publishers {
				g.Go(func() error {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return nil
						default:
						}
						text := fmt.Sprint(p, " ", n)
						if err := client.Publish(ctx, "out", []byte(text), mqtt.ExactlyOnce); err != nil {
							return err
						}
						delivered[p] = append(delivered[p], text)
					}
				})
			}
			for i := range switches {
				to := sites[(i+1)%2]
				to.open(true)
				sites[i%2].open(false)
				await(t, events, "on the other server", func(e mqtt.Event) bool { return e.State == mqtt.Connected })
				text := fmt.Sprint("for ", i)
				publishUntil(t, to.local, text, func() bool { return in.count(text) > 0 })
			}
			close(stop)
			require.NoError(t, g.Wait())
			total, twice := 0, 0
			for _, list := range delivered {
				for _, text := range list {
					a, b := sites[0].heard, sites[1].heard
					require.Eventually(t, func() bool { return a.count(text)+b.count(text) > 0 }, patience, time.Millisecond, "%q is nowhere", text)
					total++
					twice += max(0, a.count(text)-1) + max(0, b.count(text)-1)
				}
			}
			t.Logf("%d messages delivered over %d switches, %d twice on one server", total, switches, twice)
			require.LessOrEqual(t, twice, publishers*switches, "only what was unacknowledged at a switch may come twice")
		})
	}
}

// publishUntil publishes text on "in" until it has arrived: a Subscription that is
// made again may come a moment after the connection.
func publishUntil(t *testing.T, from *mqtt.Client, text string, arrived func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		publish(t, from, "in", text, mqtt.AtLeastOnce)
		return arrived()
	}, patience, 5*time.Millisecond)
}

// A process is killed in the middle of QoS 2 exchanges, and the next one resumes its
// session, a hundred times. No message of the next is taken for a repeat of the last
// one's: what Publish said to be delivered has arrived, once.
func TestMosquittoResumeAfterKilledProcesses(t *testing.T) {
	const processes, window = 100, 10
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		t.Run(v.String(), func(t *testing.T) {
			site := newSite(t, startServer(t, mosquitto.Options{}))
			var delivered []string
			for i := range processes {
				site.open(true)
				client, err := mqtt.Connect(testContext(t), site.line.URL(), keeping(v, "killed"))
				require.NoError(t, err)
				require.Equal(t, i > 0, client.ServerInfo().SessionPresent)
				var open []*mqtt.Delivery
				var texts []string
				for n := range 3 * window {
					text := fmt.Sprint(i, " ", n)
					d, err := client.PublishAsync(testContext(t), &mqtt.Message{Topic: "out", Payload: []byte(text), QoS: mqtt.ExactlyOnce})
					require.NoError(t, err)
					open, texts = append(open, d), append(texts, text)
				}
				_, err = open[i%(2*window)].Wait(testContext(t))
				require.NoError(t, err)
				site.open(false) // the server hears nothing more of this process
				require.NoError(t, client.Close())
				for n, d := range open {
					if _, err := d.Wait(testContext(t)); err == nil {
						delivered = append(delivered, texts[n])
					}
				}
			}
			site.open(true)
			for _, text := range delivered {
				require.Eventually(t, func() bool { return site.heard.count(text) > 0 }, patience, time.Millisecond, "%q was acknowledged and is lost", text)
				require.Equal(t, 1, site.heard.count(text), "%q", text)
			}
			t.Logf("%d of %d messages were acknowledged in %d processes", len(delivered), processes*3*window, processes)
		})
	}
}

// Mosquitto crashes and goes on with an older state of the session. What is published
// after its return arrives, and every Subscription receives, also those made since.
func TestMosquittoComesBackFromAnOlderSave(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		t.Run(v.String(), func(t *testing.T) {
			server := startServer(t, mosquitto.Options{Persistence: true})
			client := connectTo(t, server.URL(), keeping(v, "client"))
			events := client.Watch(testContext(t))
			ears := map[string]*ear{}
			for i := range 10 {
				require.NoError(t, server.Save(t.Context()))
				name := fmt.Sprint("topic ", i)
				ears[name] = listen(t, subscribeTo(t, client, name, mqtt.ExactlyOnce))
				for topic := range ears {
					publish(t, client, topic, fmt.Sprint("before ", i), mqtt.ExactlyOnce)
				}
				server.Kill()
				server.Restart()
				await(t, events, "connected again", func(e mqtt.Event) bool { return e.State == mqtt.Connected })
				for topic, ear := range ears {
					text := fmt.Sprint("after ", i)
					publish(t, client, topic, text, mqtt.ExactlyOnce)
					require.Eventually(t, func() bool { return ear.count(text) == 1 }, 30*time.Second, time.Millisecond, "%s: %q", topic, text)
				}
			}
		})
	}
}
