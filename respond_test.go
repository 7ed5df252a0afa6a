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
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

type responderFunc = func(context.Context, *mqtt.Message) (*mqtt.Message, error)

// responding is a Respond under way; stop ends its context.
type responding struct {
	stop context.CancelFunc
	*call
}

// respond begins a Respond on the filter t.
func respond(t *testing.T, c *mqtt.Client, conn *mqtttest.Conn, concurrency int, f responderFunc) *responding {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &responding{stop: stop}
	r.call = begin(func() error {
		return c.RespondWith(ctx, mqtt.RespondOptions{
			SubscribeOptions: mqtt.SubscribeOptions{Filters: filters("t")}, Concurrency: concurrency}, f)
	})
	grant(conn)
	return r
}

func echo(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
	return &mqtt.Message{Payload: append([]byte("re "), m.Payload...)}, nil
}

// asks is a PUBLISH that asks for a response on the topic r.
func asks(id uint16, qos wire.QoS, payload string) *wire.Publish {
	p := pub(id, qos, payload)
	p.Properties = &wire.PublishProperties{ResponseTopic: "r", CorrelationData: []byte(payload)}
	return p
}

// answers is the response to asks.
func answers(id uint16, qos wire.QoS, correlation, payload string) *wire.Publish {
	p := to("r", pub(id, qos, payload))
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
		client, conn := open(t, srv, quiet(srv))
		respond(t, client, conn, 0, echo)
		conn.Send(asks(7, 1, "a"))
		conn.Want(answers(2, 1, "a", "re a"))
		conn.WantIdle()
		conn.Send(puback(2))
		conn.Want(puback(7))
		conn.Send(asks(0, 0, "b"))
		conn.Want(answers(0, 0, "b", "re b"))
		conn.WantIdle()
	})
}

func TestRespondSurvivesAReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		respond(t, client, conn, 0, echo)
		conn.Send(asks(7, 1, "a"))
		conn.Want(answers(2, 1, "a", "re a"))
		conn.Close()
		conn = srv.Connected(resumed())
		renewed(t, conn)
		again := answers(2, 1, "a", "re a")
		again.Duplicate = true
		conn.Want(again)
		repeated := asks(7, 1, "a")
		repeated.Duplicate = true
		conn.Send(repeated, puback(2))
		conn.Want(puback(7))
		conn.WantIdle()
	})
}

func TestRespondReportsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		respond(t, client, conn, 0, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
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
		// What f returned can not be sent; the caller hears of it.
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
		client, conn := openWith(t, srv, quiet(srv), &wire.Connack{MaximumPacketSize: 200})
		respond(t, client, conn, 0, func(context.Context, *mqtt.Message) (*mqtt.Message, error) {
			return &mqtt.Message{Payload: make([]byte, 1000)}, nil
		})
		conn.Send(asks(7, 1, "x"))
		p := mqtttest.Take[*wire.Publish](conn)
		require.Contains(t, p.Properties.UserProperties[0].Value, "larger than the server's maximum of 200")
		conn.Send(puback(p.PacketID))
		conn.Want(puback(7))
	})
}

func TestRequestReturnsTheRespondersError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		r := beginRequest(t.Context(), client, question("?"))
		grant(conn)
		asked := takeRequest(conn)
		failed := responseTo(asked, "details")
		failed.Properties.UserProperties = []wire.UserProperty{{Name: "other", Value: "1"}, {Name: "response-error", Value: "no such order"}}
		conn.Send(failed)
		err := r.wait()
		e, ok := errors.AsType[*mqtt.ResponseError](err)
		require.True(t, ok)
		require.Equal(t, "no such order", e.Text)
		require.Equal(t, "details", string(e.Response.Payload))
		require.EqualError(t, err, `mqtt: request "t": responder failed: "no such order"`)
		require.False(t, mqtt.NotSent(err))
		require.Nil(t, r.response)
	})
}

func TestRequestsThatCanNotBeAnsweredDoNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		respond(t, client, conn, 0, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			if string(m.Payload) == "fails" {
				return nil, errors.New("failed")
			}
			return echo(t.Context(), m)
		})
		conn.Send(pub(7, 1, "no topic"))
		conn.Want(puback(7))
		conn.Send(pub(8, 1, "fails"))
		conn.Want(puback(8))
		require.Equal(t, uint64(2), client.Stats().Unanswered)
		// The server refuses the response.
		conn.Send(asks(10, 1, "x"))
		conn.Want(answers(2, 1, "x", "re x"))
		conn.Send(&wire.Puback{PacketID: 2, ReasonCode: wire.NotAuthorized})
		conn.Want(puback(10))
		require.Equal(t, uint64(3), client.Stats().Unanswered)
		// A response topic with a wildcard is no valid packet. [MQTT-3.3.2-14]
		conn.SendRaw("32 0C 0001 74 0009 06 08 0003 61 2F 23")
		conn.WantDisconnect(wire.ProtocolError)
	})
}

func TestRespondMayStaySilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		respond(t, client, conn, 0, func(context.Context, *mqtt.Message) (*mqtt.Message, error) { return nil, nil })
		conn.Send(asks(7, 1, "x"))
		conn.Want(puback(7))
		conn.WantIdle()
		require.Zero(t, client.Stats().Unanswered)
	})
}

func TestRespondKeepsWhatTheFunctionSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		respond(t, client, conn, 0, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
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
		conn.Send(pubrec(2), asks(0, 0, "itself"))
		conn.Want(pubrel(2), answers(0, 0, "itself", "itself"))
	})
}

func TestRespondByConventionBefore50(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := open(t, srv, quiet(srv))
		respond(t, client, conn, 0, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			if string(m.Payload) == "fails" {
				return nil, errors.New("failed")
			}
			return &mqtt.Message{Topic: m.Topic + "/response", Payload: []byte("!")}, nil
		})
		conn.Send(pub(7, 1, "?"))
		conn.Want(to("t/response", pub(2, 1, "!")))
		conn.Send(puback(2))
		conn.Want(puback(7))
		conn.Send(pub(8, 1, "fails"))
		conn.Want(puback(8))
		require.Equal(t, uint64(1), client.Stats().Unanswered)
	})
}

func TestRespondBoundsConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		begun, proceed := make(chan string, 10), make(chan struct{})
		respond(t, client, conn, 2, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
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

func TestRespondEndsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		proceed := make(chan struct{})
		r := respond(t, client, conn, 1, func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			<-ctx.Done()
			<-proceed
			return echo(ctx, m)
		})
		conn.Send(asks(7, 1, "a"), asks(8, 1, "b"))
		synctest.Wait()
		r.stop()
		end, refused := takeBoth[*wire.Unsubscribe, *wire.Publish](conn)
		require.Equal(t, []string{"t"}, end.Filters)
		require.Equal(t, reports(refused.PacketID, 1, "b", "responder has stopped"), refused)
		conn.Send(asks(9, 1, "c")) // before the server has seen UNSUBSCRIBE
		conn.Want(reports(4, 1, "c", "responder has stopped"))
		conn.Send(puback(4), puback(refused.PacketID), &wire.Unsuback{PacketID: end.PacketID, ReasonCodes: []wire.ReasonCode{wire.Success}})
		require.False(t, r.over())
		close(proceed)
		conn.Want(answers(5, 1, "a", "re a"))
		require.False(t, r.over())
		conn.Send(puback(5))
		conn.Want(puback(7), puback(8), puback(9))
		err := r.wait()
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, `mqtt: respond "t"`)
	})
}

func TestRespondEndsThoughTheServerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		r := respond(t, client, conn, 1, func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			<-ctx.Done()
			return echo(ctx, m)
		})
		conn.Send(asks(7, 1, "a"))
		synctest.Wait()
		srv.Refuse()
		conn.Close()
		synctest.Wait()
		began := time.Now()
		r.stop()
		require.ErrorIs(t, r.wait(), context.Canceled)
		require.Equal(t, 15*time.Second, time.Since(began))
		require.Equal(t, uint64(1), client.Stats().Unanswered)
	})
}

func TestRespondEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		r := respond(t, client, conn, 0, echo)
		b := begin(client.Close)
		conn.WantDisconnect(wire.Success)
		require.NoError(t, b.wait())
		require.ErrorIs(t, r.wait(), mqtt.ErrClosed)
	})
}

func TestRespondRefusesBadArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		for name, err := range map[string]error{
			"no function": client.Respond(t.Context(), "t", nil),
			"no filter":   client.RespondWith(t.Context(), mqtt.RespondOptions{}, echo),
			"bad filter":  client.Respond(t.Context(), "a/#/b", echo),
			"concurrency": client.RespondWith(t.Context(), mqtt.RespondOptions{
				SubscribeOptions: mqtt.SubscribeOptions{Filters: filters("t")}, Concurrency: -1}, echo),
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
		client, conn := open(t, srv, quiet(srv))
		b := begin(func() error {
			return client.RespondWith(t.Context(), mqtt.RespondOptions{
				SubscribeOptions: mqtt.SubscribeOptions{Filters: filters("a", "b")}}, echo)
		})
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.GrantedQoS1, wire.NotAuthorized}})
		require.ErrorIs(t, b.wait(), mqtt.NotAuthorized)
		require.Equal(t, []string{"a"}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
	})
}

func TestRespondDoesNotAnswerItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		respond(t, client, conn, 0, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) { return m, nil })
		conn.Send(pub(7, 1, "no topic")) // and the server sends to t what is published there
		conn.Want(puback(7))
		conn.WantIdle()
		require.Equal(t, uint64(1), client.Stats().Unanswered)
	})
}
