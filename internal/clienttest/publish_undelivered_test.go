package clienttest

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// reports has what Config.Undelivered was called with. A call returns when it may.
type reports struct {
	calls chan mqtt.Undelivered
	may   chan struct{}
}

// slowly sets a Config.Undelivered whose calls return one for each token in may.
func slowly(cfg *mqtt.Config) *reports {
	r := &reports{make(chan mqtt.Undelivered, 1000), make(chan struct{}, 1000)}
	cfg.Undelivered = func(u mqtt.Undelivered) {
		r.calls <- u
		<-r.may
	}
	return r
}

// atOnce has calls return at once.
func (r *reports) atOnce() *reports {
	close(r.may)
	return r
}

// want takes one call.
func (r *reports) want(t *testing.T, m *mqtt.Message, cause error) mqtt.Undelivered {
	t.Helper()
	synctest.Wait()
	require.NotEmpty(t, r.calls)
	u := <-r.calls
	require.Equal(t, m, u.Message)
	require.ErrorIs(t, u.Err, cause)
	return u
}

func (r *reports) wantNone(t *testing.T) {
	t.Helper()
	synctest.Wait()
	require.Empty(t, r.calls)
}

func sendAsync(t *testing.T, c *mqtt.Client, m *mqtt.Message) *mqtt.Delivery {
	t.Helper()
	d, err := c.PublishAsync(t.Context(), m)
	require.NoError(t, err)
	return d
}

func toT(payload string, qos mqtt.QoS) *mqtt.Message {
	return &mqtt.Message{Topic: "t", Payload: []byte(payload), QoS: qos}
}

func TestUndeliveredIsToldWhatTheDeliveryTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		r := slowly(&cfg).atOnce()
		client, conn := OpenWith(t, srv, cfg, &wire.Connack{ReceiveMaximum: 2, MaximumPacketSize: 100})

		refused, accepted := toT("refused", 1), toT("accepted", 2)
		d := sendAsync(t, client, refused)
		sendAsync(t, client, accepted)
		conn.Want(Pub(1, 1, "refused"), Pub(2, 2, "accepted"))
		conn.Send(&wire.Puback{PacketID: 1, ReasonCode: wire.QuotaExceeded})
		u := r.want(t, refused, mqtt.QuotaExceeded)
		require.False(t, mqtt.NotSent(u.Err))
		_, err := d.Wait(t.Context())
		require.Equal(t, err, u.Err)

		large := toT(string(make([]byte, 100)), 0)
		sendAsync(t, client, large)
		require.True(t, mqtt.NotSent(r.want(t, large, mqtt.PacketTooLarge).Err))

		conn.Send(Pubrec(2))
		conn.Want(Pubrel(2))
		conn.Send(Pubcomp(2))
		r.wantNone(t)

		// Who waits is told by the error, and what was not accepted was refused.
		require.Error(t, client.Publish(t.Context(), "t", make([]byte, 100), 1))
		_, err = client.PublishAsync(t.Context(), &mqtt.Message{Topic: "#"})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		r.wantNone(t)

		late, left := &mqtt.Message{Topic: "t", QoS: 1, MessageExpiryInterval: new(time.Second)}, toT("left", 1)
		conn.Close()
		srv.Refuse()
		synctest.Wait()
		sendAsync(t, client, left)
		sendAsync(t, client, late)
		time.Sleep(time.Second)
		synctest.Wait()
		require.True(t, mqtt.NotSent(r.want(t, late, mqtt.ErrExpired).Err))
		require.NoError(t, client.Close())
		require.Len(t, r.calls, 1, "Close waits for it")
		require.True(t, mqtt.NotSent(r.want(t, left, mqtt.ErrClosed).Err))
	})
}

func TestUndeliveredIsToldOfWhatThePolicyDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *reports
		client := offline(t, func(cfg *mqtt.Config) {
			r = slowly(cfg).atOnce()
			cfg.QueueMessages = 2
			cfg.WhenFull = mqtt.WhenFull{AtMostOnce: mqtt.FullDropNewest, Acknowledged: mqtt.FullDropOldest}
		})
		var all []*mqtt.Message
		for i := range 5 {
			all = append(all, toT(strconv.Itoa(i), 1))
			sendAsync(t, client, all[i])
			synctest.Wait()
		}
		for _, m := range all[:3] {
			r.want(t, m, mqtt.ErrQueueFull)
		}
		newest := toT("newest", 0)
		require.True(t, Settled(sendAsync(t, client, newest)))
		r.want(t, newest, mqtt.ErrQueueFull)
		r.wantNone(t)
	})
}

func TestUndeliveredIsToldOfALostSessionIfThatFailsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.FailOnSessionLoss = true
		r := slowly(&cfg).atOnce()
		client, conn := Open(t, srv, cfg)
		m := toT("1", 1)
		sendAsync(t, client, m)
		conn.Want(Pub(1, 1, "1"))
		conn.Close()
		srv.Connected(&wire.Connack{})
		require.False(t, mqtt.NotSent(r.want(t, m, mqtt.ErrSessionLost).Err))
	})
}

func TestASlowUndeliveredHoldsUpNothingAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *reports
		client := offline(t, func(cfg *mqtt.Config) {
			r = slowly(cfg)
			cfg.QueueMessages, cfg.QueueAge = 3, time.Second
			cfg.WhenFull.Acknowledged = mqtt.FullDropOldest
		})
		// Three wait to be sent, three for the function. No more are accepted then.
		var all []*mqtt.Message
		for i := range 6 {
			all = append(all, toT(strconv.Itoa(i), 1))
			sendAsync(t, client, all[i])
		}
		more := toT("more", 1)
		_, err := client.PublishAsync(t.Context(), more)
		require.ErrorIs(t, err, mqtt.ErrQueueFull)
		require.True(t, mqtt.NotSent(err))
		require.ErrorIs(t, client.PublishMessage(t.Context(), more), mqtt.ErrQueueFull)

		// When those expire, six wait for the function, and the queue takes none.
		time.Sleep(time.Second)
		synctest.Wait()
		require.Zero(t, client.Stats().Queued)
		_, err = client.PublishAsync(t.Context(), more)
		require.ErrorIs(t, err, mqtt.ErrQueueFull)
		for range 4 {
			r.may <- struct{}{}
		}
		synctest.Wait()
		for range 3 {
			sendAsync(t, client, more) // each fits, and expires in its turn
		}
		close(r.may)
		time.Sleep(time.Second)
		synctest.Wait()
		for _, m := range all[:3] {
			r.want(t, m, mqtt.ErrQueueFull)
		}
		for _, m := range all[3:] {
			r.want(t, m, mqtt.ErrExpired)
		}
		for range 3 {
			r.want(t, more, mqtt.ErrExpired)
		}
		r.wantNone(t)
	})
}

func TestPublishersWaitForASlowUndelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *reports
		client := offline(t, func(cfg *mqtt.Config) {
			r = slowly(cfg)
			cfg.QueueMessages, cfg.QueueAge = 1, time.Second
		})
		for range 2 {
			sendAsync(t, client, toT("", 1)) // the second waits until the first has expired
		}
		waits := Begin(func() error {
			_, err := client.PublishAsync(t.Context(), toT("", 1))
			return err
		})
		time.Sleep(time.Hour)
		synctest.Wait()
		require.False(t, waits.Over())
		r.may <- struct{}{}
		require.NoError(t, waits.Wait())
		close(r.may)
	})
}

func TestUndeliveredMayCloseTheClientAndPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		var client *mqtt.Client
		told := 0
		cfg.Undelivered = func(u mqtt.Undelivered) {
			told++
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := client.PublishAsync(ctx, u.Message); told < 3 {
				require.NoError(t, err)
				return
			}
			require.NoError(t, client.Close())
		}
		client, conn := Open(t, srv, cfg)
		conn.Close()
		srv.Refuse()
		synctest.Wait()
		sendAsync(t, client, &mqtt.Message{Topic: "t", QoS: 1, MessageExpiryInterval: new(time.Second)})
		<-client.Done()
		synctest.Wait()
		require.Equal(t, 4, told, "the last one was left when the client ended")
	})
}
