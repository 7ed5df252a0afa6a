package stresstest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/reconnect"
)

// account has what became of the messages of many publishers, by payload.
type account struct {
	mu       sync.Mutex
	accepted map[string]*mqtt.Delivery
	told     map[string]error
	twice    int
}

func (a *account) undelivered(u mqtt.Undelivered) {
	if rand.IntN(4) == 0 {
		time.Sleep(time.Duration(rand.IntN(int(time.Millisecond)))) // what fails meanwhile has to wait
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	payload := string(u.Message.Payload)
	if a.told[payload] != nil {
		a.twice++
	}
	a.told[payload] = u.Err
}

func (a *account) publish(t *testing.T, c *mqtt.Client, m *mqtt.Message) {
	d, err := c.PublishAsync(t.Context(), m)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.accepted[string(m.Payload)] = d
	} else if !mqtt.NotSent(err) {
		t.Errorf("refused, but perhaps sent: %v", err)
	}
}

// Each message that PublishAsync accepted is either delivered or told to Undelivered, once
// and with the same error, whatever the policies, the times and the network do, and also
// when the client ends in the middle.
func TestEveryAcceptedMessageIsDeliveredOrReported(t *testing.T) {
	for policy := mqtt.FullBlock; policy <= mqtt.FullKeepLatest; policy++ {
		synctest.Test(t, func(t *testing.T) {
			b := broker.New(broker.Config{})
			defer b.Close()
			a := &account{accepted: map[string]*mqtt.Delivery{}, told: map[string]error{}}
			client, err := mqtt.Connect(t.Context(), "mqtt://b", mqtt.Config{
				Version: mqtt.V5, Dial: flaky(b, 40), RetryFirst: true, Inflight: 4, QueueMessages: 12,
				QueueAge: 20 * time.Millisecond, QueueAtMostOnce: mqtt.QueueLimits{Messages: 5},
				WhenFull:    mqtt.WhenFull{AtMostOnce: policy, Acknowledged: policy},
				Undelivered: a.undelivered,
				Reconnect:   reconnect.Policy{Min: time.Millisecond, Max: 30 * time.Millisecond},
			})
			require.NoError(t, err)
			var publishers sync.WaitGroup
			for p := range 6 {
				publishers.Go(func() {
					for i := range 300 {
						m := &mqtt.Message{Topic: fmt.Sprintf("t/%d", rand.IntN(8)), Payload: fmt.Appendf(nil, "%d-%d", p, i), QoS: mqtt.QoS(rand.IntN(3)), NotQueued: rand.IntN(10) == 0}
						a.publish(t, client, m)
						if rand.IntN(3) == 0 {
							time.Sleep(time.Duration(rand.IntN(int(2 * time.Millisecond))))
						}
					}
				})
			}
			publishers.Wait()
			require.NoError(t, client.Close())
			time.Sleep(time.Minute) // Close has not waited for all calls
			synctest.Wait()

			failed := 0
			for payload, d := range a.accepted {
				_, err := d.Wait(t.Context())
				require.Equal(t, err, a.told[payload], payload)
				if err != nil {
					failed++
				}
			}
			require.Len(t, a.told, failed, "nothing else is told")
			require.Zero(t, a.twice)
			t.Logf("policy %d: %d accepted, %d failed, %d connections", policy, len(a.accepted), failed, client.Stats().Connections)
		})
	}
}
