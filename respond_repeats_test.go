package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// countCalls is a responder that tells how often it was called.
func countCalls(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
	calls[string(m.Payload)]++
	return &mqtt.Message{Payload: fmt.Appendf(nil, "%s %d", m.Payload, calls[string(m.Payload)])}, nil
}

// calls are those of countCalls, by payload. Its tests do not run at once.
var calls map[string]int

// beginCounting begins a Respond with countCalls.
func beginCounting(t *testing.T, o mqtt.RespondOptions) (*mqtt.Client, *mqtttest.Server, *mqtttest.Conn) {
	calls = make(map[string]int)
	srv := mqtttest.NewServer(t, wire.V5)
	client, conn := Open(t, srv, Quiet(srv))
	o.Filters = Filters("t")
	Begin(func() error { return client.RespondWith(t.Context(), o, countCalls) })
	Grant(conn)
	return client, srv, conn
}

// wantAnswer takes a response at QoS 1 and the acknowledgement of its request.
func wantAnswer(t *testing.T, conn *mqtttest.Conn, request uint16, correlation, payload string) {
	t.Helper()
	p := mqtttest.Take[*wire.Publish](conn)
	require.Equal(t, answers(p.PacketID, 1, correlation, payload), p)
	conn.Send(Puback(p.PacketID))
	conn.Want(Puback(request))
}

func TestARequestThatComesAgainGetsTheFirstResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, srv, conn := beginCounting(t, mqtt.RespondOptions{})
		conn.Send(asks(7, 1, "a"))
		wantAnswer(t, conn, 7, "a", "a 1")
		// Its PUBACK was lost with the connection.
		conn.Close()
		conn = srv.Connected(Resumed())
		Renewed(t, conn)
		again := asks(7, 1, "a")
		again.Duplicate = true
		conn.Send(again)
		wantAnswer(t, conn, 7, "a", "a 1")
		// Its sender has published it once more.
		time.Sleep(59 * time.Second)
		conn.Send(asks(8, 1, "a"))
		wantAnswer(t, conn, 8, "a", "a 1")
		require.Equal(t, uint64(2), client.Stats().RepeatedRequests)
		time.Sleep(time.Second)
		conn.Send(asks(9, 1, "a"))
		wantAnswer(t, conn, 9, "a", "a 2")
		require.Equal(t, uint64(2), client.Stats().RepeatedRequests)
		require.Zero(t, client.Stats().Unanswered)
	})
}

func TestRequestsThatDifferAreHandledEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, conn := beginCounting(t, mqtt.RespondOptions{})
		base := func() *wire.Publish { return asks(7, 1, "a") }
		different := []*wire.Publish{base()}
		add := func(change func(*wire.Publish)) {
			p := base()
			change(p)
			different = append(different, p)
		}
		add(func(p *wire.Publish) { p.Properties.ResponseTopic = "r/2" })
		add(func(p *wire.Publish) { p.Properties.CorrelationData = []byte("b") })
		add(func(p *wire.Publish) { p.Properties.ContentType = "x" })
		add(func(p *wire.Publish) { p.Properties.UserProperties = []wire.UserProperty{{Name: "ab", Value: "c"}} })
		add(func(p *wire.Publish) { p.Properties.UserProperties = []wire.UserProperty{{Name: "a", Value: "bc"}} })
		// Nothing tells what they are.
		add(func(p *wire.Publish) { p.Properties.CorrelationData = nil })
		add(func(p *wire.Publish) { p.Properties.CorrelationData = nil })
		for i, p := range different {
			conn.Send(p)
			answer := mqtttest.Take[*wire.Publish](conn)
			require.Equal(t, fmt.Sprint("a ", i+1), string(answer.Payload))
			conn.Send(Puback(answer.PacketID))
			conn.Want(Puback(7))
		}
		// QoS 0 messages do not come again.
		conn.Send(asks(0, 0, "b"))
		conn.Want(answers(0, 0, "b", "b 1"))
		conn.Send(asks(0, 0, "b"))
		conn.Want(answers(0, 0, "b", "b 2"))
		require.Zero(t, client.Stats().RepeatedRequests)
	})
}

func TestARequestThatComesAgainWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		proceed := make(chan error)
		Respond(t, client, conn, 2, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			m.Payload = []byte("changed")
			return m, <-proceed
		})
		conn.Send(asks(7, 1, "a"), asks(8, 1, "a"), asks(9, 1, "a"), asks(10, 1, "b"))
		conn.WantIdle()
		proceed <- nil // the request b does not wait behind the others: there are two calls
		proceed <- nil
		first, second := mqtttest.Take[*wire.Publish](conn), mqtttest.Take[*wire.Publish](conn)
		require.NotEqual(t, first.Properties.CorrelationData, second.Properties.CorrelationData)
		conn.WantIdle()
		conn.Send(Puback(first.PacketID), Puback(second.PacketID))
		conn.Want(Puback(7), Puback(8), Puback(9), Puback(10))
		conn.WantIdle()
		require.Equal(t, uint64(2), client.Stats().RepeatedRequests)
		// An error is an answer.
		conn.Send(asks(7, 1, "c"))
		proceed <- errors.New("failed")
		for range 2 {
			p := mqtttest.Take[*wire.Publish](conn)
			require.Equal(t, reports(p.PacketID, 1, "c", "failed"), p)
			conn.Send(Puback(p.PacketID))
			conn.Want(Puback(7))
			conn.Send(asks(7, 1, "c"))
		}
	})
}

func TestRespondRemembersWithinBounds(t *testing.T) {
	t.Run("nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, _, conn := beginCounting(t, mqtt.RespondOptions{RememberFor: -1})
			for i := range 3 {
				conn.Send(asks(7, 1, "a"))
				wantAnswer(t, conn, 7, "a", fmt.Sprint("a ", i+1))
			}
		})
	})
	t.Run("so many", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, _, conn := beginCounting(t, mqtt.RespondOptions{RememberFor: time.Hour})
			for i := range 4097 {
				conn.Send(asks(7, 1, fmt.Sprint(i)))
				wantAnswer(t, conn, 7, fmt.Sprint(i), fmt.Sprint(i, " 1"))
			}
			conn.Send(asks(7, 1, "1"))
			wantAnswer(t, conn, 7, "1", "1 1")
			conn.Send(asks(7, 1, "0"))
			wantAnswer(t, conn, 7, "0", "0 2")
		})
	})
	t.Run("so large", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, _, conn := beginCounting(t, mqtt.RespondOptions{})
			long := func(i, n int) string { return fmt.Sprint(i) + strings.Repeat("x", n) }
			ask := func(payload string, call int) {
				p := asks(7, 1, payload)
				p.Properties.CorrelationData = []byte("c")
				conn.Send(p)
				wantAnswer(t, conn, 7, "c", fmt.Sprint(payload, " ", call))
			}
			for i := range 4 {
				ask(long(i, 300<<10), 1)
			}
			ask(long(3, 300<<10), 1)
			ask(long(1, 300<<10), 1)
			ask(long(0, 300<<10), 2)
			ask(long(0, 2<<20), 1)
			ask(long(0, 2<<20), 2)
		})
	})
}

// A function may use the memory of its response again.
func TestWhatRespondRemembersIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		response := &mqtt.Message{Payload: []byte("?")}
		Respond(t, client, conn, 1, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			response.Payload[0] = m.Payload[0]
			return response, nil
		})
		for _, payload := range []string{"a", "b", "a", "b"} {
			conn.Send(asks(7, 1, payload))
			wantAnswer(t, conn, 7, payload, payload)
		}
	})
}

// within returns a request with an interval.
func within(seconds uint32, p *wire.Publish) *wire.Publish {
	p.Properties.MessageExpiryInterval = &seconds
	return p
}

func TestTheFunctionOfRespondHasTheTimeThatTheRequestHas(t *testing.T) {
	for _, qos := range []wire.QoS{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			proceed, deadlines := make(chan struct{}), make(chan time.Duration, 9)
			Respond(t, client, conn, 1, func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
				deadline, ok := ctx.Deadline()
				if !ok {
					deadlines <- 0
				} else {
					deadlines <- time.Until(deadline)
				}
				if string(m.Payload) == "b" {
					<-ctx.Done()
					require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
					return nil, context.Cause(ctx)
				}
				<-proceed
				return m, nil
			})
			// The first has no interval, and the others wait behind it.
			conn.Send(asks(uint16(qos), qos, "a"), within(10, asks(2*uint16(qos), qos, "b")), within(2, asks(3*uint16(qos), qos, "c")))
			require.Zero(t, <-deadlines)
			time.Sleep(3 * time.Second)
			proceed <- struct{}{}
			answer := mqtttest.Take[*wire.Publish](conn)
			require.Equal(t, "a", string(answer.Payload))
			if qos > 0 {
				conn.Send(Puback(answer.PacketID))
				conn.Want(Puback(1))
			}
			require.InDelta(t, 7*time.Second, <-deadlines, float64(time.Millisecond))
			// Neither b nor c is answered, and f was not called for c.
			time.Sleep(8 * time.Second)
			if qos > 0 {
				conn.Want(Puback(2), Puback(3))
			}
			conn.WantIdle()
			require.Equal(t, uint64(2), client.Stats().Unanswered)
			require.Empty(t, deadlines)
		})
	}
}

// TestARequestTakesThePlaceOfOneThatHasExpired has a requester that asks once more when
// its time is over, while the function is still busy.
func TestARequestTakesThePlaceOfOneThatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		n := 0
		Respond(t, client, conn, 1, func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			if n++; n == 1 {
				time.Sleep(6 * time.Second) // ignores its context
			}
			return &mqtt.Message{Payload: fmt.Append(nil, n)}, nil
		})
		conn.Send(within(5, asks(7, 1, "a")))
		time.Sleep(4 * time.Second)
		conn.Send(within(5, asks(8, 1, "a")))
		time.Sleep(2*time.Second - time.Millisecond)
		conn.WantIdle()
		expired, answer := takeBoth[*wire.Puback, *wire.Publish](conn)
		require.Equal(t, Puback(7), expired)
		require.Equal(t, "2", string(answer.Payload))
		conn.Send(Puback(answer.PacketID))
		conn.Want(Puback(8))
		require.Equal(t, uint64(1), client.Stats().Unanswered)
	})
}

func TestTheDeadlineOfRequestTravelsWithIt(t *testing.T) {
	for _, test := range []struct {
		left time.Duration
		own  *time.Duration
		want uint32 // 0: none
	}{
		{left: 0},
		{left: 10 * time.Millisecond, want: 1},
		{left: 999 * time.Millisecond, want: 1},
		{left: 4500 * time.Millisecond, want: 5},
		{left: 5 * time.Second, want: 6}, // not before the context ends
		{left: 5 * time.Second, own: new(3 * time.Second), want: 3},
		{left: 5 * time.Second, own: new(time.Hour), want: 3600},
		{left: 280 * 365 * 24 * time.Hour}, // longer than the property can say
	} {
		for _, topic := range []string{"", "named"} {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				ctx, cancel := context.WithCancel(t.Context())
				if test.left > 0 {
					ctx, cancel = context.WithTimeout(t.Context(), test.left)
				}
				defer cancel()
				question := Question("?")
				question.ResponseTopic, question.MessageExpiryInterval = topic, test.own
				r := BeginRequest(ctx, client, question)
				Grant(conn)
				p := mqtttest.Take[*wire.Publish](conn)
				if got := p.Properties.MessageExpiryInterval; test.want == 0 {
					require.Nil(t, got)
				} else {
					require.Equal(t, test.want, *got)
				}
				require.Equal(t, test.own, question.MessageExpiryInterval)
				if test.left == 0 || test.left > time.Hour {
					cancel()
					require.ErrorIs(t, r.Wait(), context.Canceled)
					return
				}
				require.ErrorIs(t, r.Wait(), context.DeadlineExceeded)
			})
		}
	}
}

func TestARequestThatWasNotSentEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		r := BeginRequest(t.Context(), client, Question("?"))
		Grant(conn)
		conn.Send(ResponseTo(TakeRequest(conn), "!"))
		require.NoError(t, r.Wait())
		srv.Refuse()
		conn.Close()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := BeginRequest(ctx, client, Question("?")).Wait()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, mqtt.ErrExpired)
		require.True(t, mqtt.NotSent(err))
	})
}

func TestTheDeadlineOfRequestIsNotSentBefore50(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := Open(t, srv, Quiet(srv))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		question := Question("?")
		question.ResponseTopic = "named"
		r := BeginRequest(ctx, client, question)
		Grant(conn)
		require.Nil(t, mqtttest.Take[*wire.Publish](conn).Properties)
		require.ErrorIs(t, r.Wait(), context.DeadlineExceeded)
	})
}

// A server keeps no request for which nobody waits any more.
func TestARequestExpiresAtTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		resuming := mqtt.Config{ClientID: "responder", Resume: true, Dial: b.Dial}
		service, err := mqtt.Connect(t.Context(), b.URL(), resuming)
		require.NoError(t, err)
		_, err = service.Subscribe(t.Context(), "t", mqtt.AtLeastOnce)
		require.NoError(t, err)
		require.NoError(t, service.Disconnect(t.Context()))

		client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial})
		require.NoError(t, err)
		defer client.Close()
		for _, wait := range []time.Duration{time.Second, time.Minute} {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			r := BeginRequest(ctx, client, Question(wait.String()))
			time.Sleep(3 * time.Second)
			require.Equal(t, wait == time.Second, r.Over())
			if !r.Over() {
				service, err = mqtt.Connect(t.Context(), b.URL(), resuming)
				require.NoError(t, err)
				defer service.Close()
				go service.Respond(t.Context(), "t", echo)
				require.NoError(t, r.Wait())
				require.Equal(t, "re 1m0s", string(r.Response.Payload))
				require.Equal(t, uint64(1), service.Stats().Received)
			}
		}
	})
}
