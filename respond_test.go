package mqtt_test

import (
	"context"
	"errors"
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

func echo(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
	return &mqtt.Message{Payload: append([]byte("re "), m.Payload...)}, nil
}

// asks is a PUBLISH that asks for a response on the topic r.
func asks(id uint16, qos wire.QoS, payload string) *wire.Publish {
	p := Pub(id, qos, payload)
	p.Properties = &wire.PublishProperties{ResponseTopic: "r", CorrelationData: []byte(payload)}
	return p
}

// answers is the response to asks.
func answers(id uint16, qos wire.QoS, correlation, payload string) *wire.Publish {
	p := To("r", Pub(id, qos, payload))
	p.Properties = &wire.PublishProperties{CorrelationData: []byte(correlation)}
	return p
}

// reports is the response to asks that says what went wrong.
func reports(id uint16, qos wire.QoS, correlation, text string) *wire.Publish {
	p := answers(id, qos, correlation, "")
	p.Properties.UserProperties = []wire.UserProperty{{Name: "response-error", Value: text}}
	return p
}

func TestRespondAcknowledgesAfterTheResponseIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		Respond(t, client, conn, 0, echo)
		conn.Send(asks(7, 1, "a"))
		conn.Want(answers(2, 1, "a", "re a"))
		conn.WantIdle()
		conn.Send(Puback(2))
		conn.Want(Puback(7))
		conn.Send(asks(0, 0, "b"))
		conn.Want(answers(0, 0, "b", "re b"))
		conn.WantIdle()
	})
}

func TestRespondSurvivesAReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		Respond(t, client, conn, 0, echo)
		conn.Send(asks(7, 1, "a"))
		conn.Want(answers(2, 1, "a", "re a"))
		conn.Close()
		conn = srv.Connected(Resumed())
		Renewed(t, conn)
		again := answers(2, 1, "a", "re a")
		again.Duplicate = true
		conn.Want(again)
		repeated := asks(7, 1, "a")
		repeated.Duplicate = true
		conn.Send(repeated, Puback(2))
		conn.Want(Puback(7))
		conn.WantIdle()
	})
}

func TestRespondReportsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		Respond(t, client, conn, 0, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			switch string(m.Payload) {
			case "odd":
				return nil, errors.New("bad\xff and \x00 bad")
			case "long":
				return nil, errors.New(strings.Repeat("ä", 2000))
			case "wildcard":
				return &mqtt.Message{Payload: []byte("x"), ContentType: "\xff"}, nil
			}
			return nil, errors.New("no such order")
		})
		conn.Send(asks(0, 0, "x"))
		conn.Want(reports(0, 0, "x", "no such order"))
		conn.Send(asks(0, 0, "odd"))
		conn.Want(reports(0, 0, "odd", "bad\uFFFD and  bad"))
		conn.Send(asks(0, 0, "long"))
		conn.Want(reports(0, 0, "long", strings.Repeat("ä", 512)))
		require.Zero(t, client.Stats().Unanswered)
		// What f returned cannot be sent; the caller hears of it.
		conn.Send(asks(0, 0, "wildcard"))
		p := mqtttest.Take[*wire.Publish](conn)
		require.Contains(t, p.Properties.UserProperties[0].Value, "content type")
		synctest.Wait()
		require.Equal(t, uint64(1), client.Stats().Unanswered)
	})
}

func TestRespondTellsThatAResponseIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{MaximumPacketSize: 200})
		Respond(t, client, conn, 0, func(context.Context, *mqtt.Message) (*mqtt.Message, error) {
			return &mqtt.Message{Payload: make([]byte, 1000)}, nil
		})
		conn.Send(asks(7, 1, "x"))
		p := mqtttest.Take[*wire.Publish](conn)
		require.Contains(t, p.Properties.UserProperties[0].Value, "larger than the server's maximum of 200")
		conn.Send(Puback(p.PacketID))
		conn.Want(Puback(7))
	})
}

func TestRequestReturnsTheRespondersError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		r := BeginRequest(t.Context(), client, Question("?"))
		Grant(conn)
		asked := TakeRequest(conn)
		failed := ResponseTo(asked, "details")
		failed.Properties.UserProperties = []wire.UserProperty{{Name: "other", Value: "1"}, {Name: "response-error", Value: "no such order"}}
		conn.Send(failed)
		err := r.Wait()
		e, ok := errors.AsType[*mqtt.ResponseError](err)
		require.True(t, ok)
		require.Equal(t, "no such order", e.Text)
		require.Equal(t, "details", string(e.Response.Payload))
		require.EqualError(t, err, `mqtt: request "t": responder failed: "no such order"`)
		require.False(t, mqtt.NotSent(err))
		require.Nil(t, r.Response)
	})
}

func TestRequestsThatCanNotBeAnsweredDoNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		Respond(t, client, conn, 0, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			if string(m.Payload) == "fails" {
				return nil, errors.New("failed")
			}
			return echo(t.Context(), m)
		})
		conn.Send(Pub(7, 1, "no topic"))
		conn.Want(Puback(7))
		conn.Send(Pub(8, 1, "fails"))
		conn.Want(Puback(8))
		require.Equal(t, uint64(2), client.Stats().Unanswered)
		// The server refuses the response.
		conn.Send(asks(10, 1, "x"))
		conn.Want(answers(2, 1, "x", "re x"))
		conn.Send(&wire.Puback{PacketID: 2, ReasonCode: wire.NotAuthorized})
		conn.Want(Puback(10))
		require.Equal(t, uint64(3), client.Stats().Unanswered)
		// A response topic with a wildcard is no valid packet. [MQTT-3.3.2-14]
		conn.SendRaw("32 0C 0001 74 0009 06 08 0003 61 2F 23")
		conn.WantDisconnect(wire.ProtocolError)
	})
}

func TestRespondMayStaySilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		Respond(t, client, conn, 0, func(context.Context, *mqtt.Message) (*mqtt.Message, error) { return nil, nil })
		conn.Send(asks(7, 1, "x"))
		conn.Want(Puback(7))
		conn.WantIdle()
		require.Zero(t, client.Stats().Unanswered)
	})
}

func TestRespondKeepsWhatTheFunctionSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		Respond(t, client, conn, 0, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			if string(m.Payload) == "itself" {
				m.CorrelationData = []byte("changed")
				return m, nil
			}
			return &mqtt.Message{Topic: "not looked at", QoS: 2, ContentType: "text/plain", ResponseTopic: "go on here"}, nil
		})
		conn.Send(asks(0, 0, "x"))
		want := answers(2, 2, "x", "")
		want.Properties.ContentType, want.Properties.ResponseTopic = "text/plain", "go on here"
		conn.Want(want)
		conn.Send(Pubrec(2), asks(0, 0, "itself"))
		conn.Want(Pubrel(2), answers(0, 0, "itself", "itself"))
	})
}

func TestRespondByConventionBefore50(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := Open(t, srv, Quiet(srv))
		Respond(t, client, conn, 0, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			if string(m.Payload) == "fails" {
				return nil, errors.New("failed")
			}
			return &mqtt.Message{Topic: m.Topic + "/response", Payload: []byte("!")}, nil
		})
		conn.Send(Pub(7, 1, "?"))
		conn.Want(To("t/response", Pub(2, 1, "!")))
		conn.Send(Puback(2))
		conn.Want(Puback(7))
		conn.Send(Pub(8, 1, "fails"))
		conn.Want(Puback(8))
		require.Equal(t, uint64(1), client.Stats().Unanswered)
	})
}

func TestRespondBoundsConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		begun, proceed := make(chan string, 10), make(chan struct{})
		Respond(t, client, conn, 2, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			begun <- string(m.Payload)
			<-proceed
			return m, nil
		})
		for _, payload := range []string{"a", "b", "c", "d"} {
			conn.Send(asks(0, 0, payload))
		}
		synctest.Wait()
		require.Len(t, begun, 2)
		proceed <- struct{}{}
		synctest.Wait()
		require.Len(t, begun, 3)
		close(proceed)
		synctest.Wait()
		require.Len(t, begun, 4)
	})
}

// takeBoth takes a packet of each type, in whichever order they come.
func takeBoth[A, B wire.Packet](conn *mqtttest.Conn) (a A, b B) {
	for range 2 {
		switch p := mqtttest.Take[wire.Packet](conn).(type) {
		case A:
			a = p
		case B:
			b = p
		}
	}
	return a, b
}

// TestRespondEndsInOrder ends it while one request is worked on, another waits, and a
// third comes before the server has seen UNSUBSCRIBE.
func TestRespondEndsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		proceed := make(chan struct{})
		r := Respond(t, client, conn, 1, func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			<-proceed
			return &mqtt.Message{Payload: m.Payload}, ctx.Err()
		})
		conn.Send(asks(7, 1, "a"), asks(8, 1, "b"))
		synctest.Wait()
		r.Stop()
		end := mqtttest.Take[*wire.Unsubscribe](conn)
		require.Equal(t, []string{"t"}, end.Filters)
		conn.Send(asks(9, 1, "c"))
		conn.Send(&wire.Unsuback{PacketID: end.PacketID, ReasonCodes: []wire.ReasonCode{wire.Success}})
		require.False(t, r.Over())
		for i, payload := range []string{"a", "b", "c"} {
			proceed <- struct{}{}
			p := mqtttest.Take[*wire.Publish](conn)
			require.Equal(t, answers(p.PacketID, 1, payload, payload), p)
			require.False(t, r.Over())
			conn.Send(Puback(p.PacketID))
			conn.Want(Puback(uint16(7 + i)))
		}
		err := r.Wait()
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, `mqtt: respond "t"`)
		require.Zero(t, client.Stats().Unanswered)
	})
}

// TestRespondBoundsItsEnd has a call that goes on too long, and one behind it.
func TestRespondBoundsItsEnd(t *testing.T) {
	for name, heeds := range map[string]bool{"heeds its context": true, "ignores it": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				proceed := make(chan struct{})
				r := Respond(t, client, conn, 1, func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
					if heeds {
						<-ctx.Done()
						return nil, context.Cause(ctx)
					}
					<-proceed
					return m, nil
				})
				conn.Send(asks(7, 1, "a"), asks(8, 1, "b"))
				synctest.Wait()
				began := time.Now()
				r.Stop()
				end := mqtttest.Take[*wire.Unsubscribe](conn)
				conn.Send(&wire.Unsuback{PacketID: end.PacketID, ReasonCodes: []wire.ReasonCode{wire.Success}})
				if heeds {
					p := mqtttest.Take[*wire.Publish](conn)
					require.Equal(t, reports(p.PacketID, 1, "a", "context canceled"), p)
					conn.Send(Puback(p.PacketID))
					first, p := takeBoth[*wire.Puback, *wire.Publish](conn)
					require.Equal(t, Puback(7), first)
					require.Equal(t, reports(p.PacketID, 1, "b", "responder has stopped"), p)
					conn.Send(Puback(p.PacketID))
					conn.Want(Puback(8))
				}
				require.ErrorIs(t, r.Wait(), context.Canceled)
				require.LessOrEqual(t, time.Since(began), 16*time.Second)
				close(proceed)
				if !heeds {
					conn.Want(Puback(7), Puback(8))
					require.Equal(t, uint64(2), client.Stats().Unanswered)
				}
				conn.WantIdle()
			})
		})
	}
}

// TestRespondGivesBackWhatOthersCanTake ends a member of a group while it has requests that
// it does not come to. The server gets them back with the session, and none has failed.
func TestRespondGivesBackWhatOthersCanTake(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, v)
			client, conn := Open(t, srv, Quiet(srv))
			ctx, stop := context.WithCancel(t.Context())
			proceed := make(chan struct{})
			r := Begin(func() error {
				return client.RespondWith(ctx, mqtt.RespondOptions{Concurrency: 2,
					SubscribeOptions: mqtt.SubscribeOptions{Filters: Filters("$share/g/t")}},
					func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
						if string(m.Payload) == "stuck" {
							<-proceed
							return nil, nil
						}
						return &mqtt.Message{Topic: "r"}, nil
					})
			})
			Grant(conn)
			request := func(id uint16, payload string) *wire.Publish { return Pub(id, 1, payload) }
			conn.Send(request(1, "quick"))
			p := mqtttest.Take[*wire.Publish](conn)
			conn.Send(Puback(p.PacketID))
			conn.Want(Puback(1))
			conn.Send(request(2, "stuck"), request(3, "stuck"), request(4, "waits"), request(5, "waits"))
			synctest.Wait()
			stop()
			mqtttest.Take[*wire.Unsubscribe](conn)
			require.ErrorIs(t, r.Wait(), context.Canceled)
			require.Zero(t, client.Stats().Unanswered)
			over := Begin(func() error { return client.Disconnect(t.Context()) })
			conn.WantDisconnect(wire.NormalDisconnection)
			left, ok := errors.AsType[*mqtt.UnfinishedError](over.Wait())
			require.True(t, ok)
			require.Equal(t, 2, left.Received, "those that wait are there for others")
			close(proceed)
		})
	}
}

// TestRespondersFailNoRequest replaces members of a group one after the other, in order,
// while others ask.
func TestRespondersFailNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		connect := func(id string) *mqtt.Client {
			c, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{ClientID: id, Dial: b.Dial})
			require.NoError(t, err)
			t.Cleanup(func() { c.Close() })
			return c
		}
		member := func(id string) *Responding {
			c := connect(id)
			ctx, stop := context.WithCancel(t.Context())
			r := &Responding{Stop: stop}
			r.Call = Begin(func() error {
				c.RespondWith(ctx, mqtt.RespondOptions{Concurrency: 2, SubscribeOptions: mqtt.SubscribeOptions{
					Filters: []mqtt.Filter{{Filter: "$share/g/q", QoS: mqtt.AtLeastOnce}}}},
					func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
						time.Sleep(700 * time.Millisecond)
						return m, ctx.Err()
					})
				return c.Disconnect(t.Context())
			})
			return r
		}
		asker := connect("asker")
		now := member("0")
		synctest.Wait()
		var asking []*Requesting
		for i := range 20 {
			for range 5 {
				asking = append(asking, BeginRequest(t.Context(), asker, &mqtt.Message{Topic: "q", QoS: mqtt.AtLeastOnce}))
			}
			time.Sleep(time.Second)
			if i%4 == 3 {
				following := member(string(rune('1' + i)))
				synctest.Wait()
				now.Stop()
				require.NoError(t, now.Wait())
				now = following
			}
		}
		for _, a := range asking {
			require.NoError(t, a.Wait())
		}
		now.Stop()
		require.NoError(t, now.Wait())
	})
}

// TestDisconnectWaitsForResponses, as it does for functions of Handle.
func TestDisconnectWaitsForResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		r := Respond(t, client, conn, 0, func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			time.Sleep(500 * time.Millisecond)
			return m, ctx.Err()
		})
		conn.Send(asks(0, 0, "a"))
		synctest.Wait()
		over := Begin(func() error { return client.Disconnect(t.Context()) })
		conn.Want(answers(0, 0, "a", "a"))
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, over.Wait())
		require.ErrorIs(t, r.Wait(), mqtt.ErrClosed)
	})
}

func TestRespondEndsThoughTheServerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		r := Respond(t, client, conn, 1, func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			<-ctx.Done()
			return echo(ctx, m)
		})
		conn.Send(asks(7, 1, "a"))
		synctest.Wait()
		srv.Refuse()
		conn.Close()
		synctest.Wait()
		began := time.Now()
		r.Stop()
		require.ErrorIs(t, r.Wait(), context.Canceled)
		require.Equal(t, 15*time.Second, time.Since(began))
		require.Equal(t, uint64(1), client.Stats().Unanswered)
	})
}

func TestRespondEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		r := Respond(t, client, conn, 0, echo)
		b := Begin(client.Close)
		conn.WantDisconnect(wire.Success)
		require.NoError(t, b.Wait())
		require.ErrorIs(t, r.Wait(), mqtt.ErrClosed)
	})
}

func TestRespondRefusesBadArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		for name, err := range map[string]error{
			"no function": client.Respond(t.Context(), "t", nil),
			"no filter":   client.RespondWith(t.Context(), mqtt.RespondOptions{}, echo),
			"bad filter":  client.Respond(t.Context(), "a/#/b", echo),
			"concurrency": client.RespondWith(t.Context(), mqtt.RespondOptions{
				SubscribeOptions: mqtt.SubscribeOptions{Filters: Filters("t")}, Concurrency: -1}, echo),
		} {
			require.ErrorIs(t, err, mqtt.ErrInvalid, name)
			require.ErrorContains(t, err, "mqtt: respond", name)
			require.True(t, mqtt.NotSent(err), name)
		}
		conn.WantIdle()
	})
}

func TestRespondEndsWhenAFilterIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		b := Begin(func() error {
			return client.RespondWith(t.Context(), mqtt.RespondOptions{
				SubscribeOptions: mqtt.SubscribeOptions{Filters: Filters("a", "b")}}, echo)
		})
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.GrantedQoS1, wire.NotAuthorized}})
		require.ErrorIs(t, b.Wait(), mqtt.NotAuthorized)
		require.Equal(t, []string{"a"}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
	})
}

func TestRespondDoesNotAnswerItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		Respond(t, client, conn, 0, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) { return m, nil })
		conn.Send(Pub(7, 1, "no topic")) // and the server sends to t what is published there
		conn.Want(Puback(7))
		conn.WantIdle()
		require.Equal(t, uint64(1), client.Stats().Unanswered)
	})
}
