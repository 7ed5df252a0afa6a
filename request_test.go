package mqtt_test

import (
	"context"
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

func TestRequestReturnsTheResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		r := BeginRequest(t.Context(), client, Question("?"))
		sub := Grant(conn)
		require.Len(t, sub.Filters, 1)
		require.Regexp(t, `^responses/[A-Z2-7]{26}$`, sub.Filters[0].Filter)
		require.Equal(t, mqtt.DontSendRetained, sub.Filters[0].RetainHandling)
		p := TakeRequest(conn)
		require.Equal(t, "?", string(p.Payload))
		require.Equal(t, sub.Filters[0].Filter, p.Properties.ResponseTopic)
		require.Len(t, p.Properties.CorrelationData, 16)
		require.False(t, r.Over())
		conn.Send(ResponseTo(p, "!"))
		require.NoError(t, r.Wait())
		require.Equal(t, "!", string(r.Response.Payload))
		// The topic stays for the next one.
		r = BeginRequest(t.Context(), client, Question("?"))
		again := TakeRequest(conn)
		require.Equal(t, p.Properties.ResponseTopic, again.Properties.ResponseTopic)
		require.NotEqual(t, p.Properties.CorrelationData, again.Properties.CorrelationData)
		conn.Send(ResponseTo(again, "!!"))
		require.NoError(t, r.Wait())
		require.Zero(t, client.Stats().StrayResponses)
	})
}

func TestRequestsShareOneSubscriptionAndMayCrossEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		var all []*Requesting
		for i := range 20 {
			all = append(all, BeginRequest(t.Context(), client, Question(fmt.Sprint(i))))
		}
		Grant(conn)
		var asked []*wire.Publish
		for range all {
			asked = append(asked, TakeRequest(conn))
		}
		for i := len(asked) - 1; i >= 0; i-- {
			conn.Send(ResponseTo(asked[i], "re "+string(asked[i].Payload)))
		}
		for i, r := range all {
			require.NoError(t, r.Wait())
			require.Equal(t, fmt.Sprint("re ", i), string(r.Response.Payload))
		}
		conn.WantIdle()
	})
}

func TestLateDuplicateAndForeignResponsesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		r := BeginRequest(ctx, client, Question("late"))
		Grant(conn)
		late := TakeRequest(conn)
		synctest.Wait()
		cancel()
		err := r.Wait()
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, mqtt.NotSent(err))
		conn.Send(ResponseTo(late, "too late"))

		r = BeginRequest(t.Context(), client, Question("?"))
		p := TakeRequest(conn)
		foreign, none, retained := ResponseTo(p, "foreign"), ResponseTo(p, "none"), ResponseTo(p, "old")
		foreign.Properties.CorrelationData = []byte("guess")
		none.Properties = nil
		retained.Retain = true
		conn.Send(foreign, none, retained, ResponseTo(p, "right"), ResponseTo(p, "twice"))
		require.NoError(t, r.Wait())
		require.Equal(t, "right", string(r.Response.Payload))
		synctest.Wait()
		require.Equal(t, uint64(5), client.Stats().StrayResponses)
	})
}

func TestRequestSurvivesALostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		r := BeginRequest(t.Context(), client, Question("?"))
		topic := Grant(conn).Filters[0].Filter
		mqtttest.Take[*wire.Publish](conn) // and no acknowledgement
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		require.Equal(t, topic, Grant(conn).Filters[0].Filter, "before the request is repeated")
		p := TakeRequest(conn)
		require.False(t, p.Duplicate)
		conn.Send(ResponseTo(p, "!"))
		require.NoError(t, r.Wait())
		require.Equal(t, "!", string(r.Response.Payload))
	})
}

func TestRequestUsesResponseInformation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.RequestResponseInformation = true
		d := Dial(t, cfg)
		conn := srv.Accept()
		require.True(t, conn.WantConnect().RequestResponseInformation)
		conn.Send(&wire.Connack{ResponseInformation: "mine/c1/"})
		client := d.Client(t)
		old := BeginRequest(t.Context(), client, Question("old"))
		require.True(t, strings.HasPrefix(Grant(conn).Filters[0].Filter, "mine/c1/"))
		first := TakeRequest(conn)

		// Another node of the server, with another idea.
		conn.Close()
		conn = srv.Connected(&wire.Connack{SessionPresent: true, ResponseInformation: "yours"})
		Renewed(t, conn)
		synctest.Wait()
		r := BeginRequest(t.Context(), client, Question("new"))
		require.True(t, strings.HasPrefix(Grant(conn).Filters[0].Filter, "yours/"))
		p := TakeRequest(conn)
		conn.Send(ResponseTo(p, "new"), ResponseTo(first, "old"))
		require.NoError(t, r.Wait())
		require.NoError(t, old.Wait())
		require.Equal(t, "old", string(old.Response.Payload))
		// Nobody needs the old topic any more.
		require.Equal(t, []string{first.Properties.ResponseTopic}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
	})
}

func TestRequestRefusesUnusableResponseInformation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{ResponseInformation: "a/#"})
		_, err := client.Request(t.Context(), Question("?"))
		require.ErrorContains(t, err, "response information of the server")
		require.True(t, mqtt.NotSent(err))
		conn.WantIdle()
	})
}

func TestResponsePrefixGoesBeforeResponseInformation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.ResponsePrefix = "apps/7"
		client, conn := OpenWith(t, srv, cfg, &wire.Connack{ResponseInformation: "other"})
		BeginRequest(t.Context(), client, Question("?"))
		require.True(t, strings.HasPrefix(Grant(conn).Filters[0].Filter, "apps/7/"))
	})
	_, err := mqtt.Connect(t.Context(), "mqtt://server", mqtt.Config{ResponsePrefix: "a/+"})
	require.ErrorIs(t, err, mqtt.ErrInvalid)
	require.ErrorContains(t, err, "Config.ResponsePrefix")
}

func TestRequestThatNobodyGetsFailsAtOnce(t *testing.T) {
	for _, qos := range []mqtt.QoS{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			m := Question("?")
			m.QoS = qos
			r := BeginRequest(t.Context(), client, m)
			Grant(conn)
			p := mqtttest.Take[*wire.Publish](conn)
			if qos == 1 {
				conn.Send(&wire.Puback{PacketID: p.PacketID, ReasonCode: wire.NoMatchingSubscribers})
			} else {
				conn.Send(&wire.Pubrec{PacketID: p.PacketID, ReasonCode: wire.NoMatchingSubscribers})
				conn.Want(Pubrel(p.PacketID))
				conn.Send(Pubcomp(p.PacketID))
			}
			err := r.Wait()
			require.ErrorIs(t, err, mqtt.NoMatchingSubscribers)
			require.False(t, mqtt.NotSent(err))
		})
	}
}

func TestRetainedRequestWaitsForAResponder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		m := Question("?")
		m.Retain = true
		r := BeginRequest(t.Context(), client, m)
		Grant(conn)
		p := mqtttest.Take[*wire.Publish](conn)
		conn.Send(&wire.Puback{PacketID: p.PacketID, ReasonCode: wire.NoMatchingSubscribers})
		require.False(t, r.Over())
		conn.Send(ResponseTo(p, "!"))
		require.NoError(t, r.Wait())
	})
}

func TestRefusedRequestReturnsTheServersWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		r := BeginRequest(t.Context(), client, Question("?"))
		Grant(conn)
		p := mqtttest.Take[*wire.Publish](conn)
		conn.Send(&wire.Puback{PacketID: p.PacketID, ReasonCode: wire.NotAuthorized, ReasonString: "not you"})
		err := r.Wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.ErrorContains(t, err, `mqtt: request "t"`)
		require.ErrorContains(t, err, "not you")
	})
}

func TestRequestTakesAResponseThatOvertakesThePuback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		m := Question("mine")
		r := BeginRequest(t.Context(), client, m)
		Grant(conn)
		p := mqtttest.Take[*wire.Publish](conn)
		conn.Send(ResponseTo(p, "!"))
		require.NoError(t, r.Wait())
		copy(m.Payload, "evil") // ours again
		conn.Close()
		conn = srv.Connected(Resumed())
		Renewed(t, conn)
		again := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "mine", string(again.Payload))
	})
}

func TestOneRequesterThatGivesUpDoesNotHarmOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		first := BeginRequest(ctx, client, Question("1")) // has to subscribe
		abandoned := mqtttest.Take[*wire.Subscribe](conn)
		second := BeginRequest(t.Context(), client, Question("2"))
		require.False(t, second.Over())
		cancel()
		err := first.Wait()
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, mqtt.NotSent(err), "the request was not sent")
		require.Equal(t, abandoned.Filters[0].Filter, mqtttest.Take[*wire.Unsubscribe](conn).Filters[0])
		Grant(conn)
		conn.Send(ResponseTo(TakeRequest(conn), "!"))
		require.NoError(t, second.Wait())
	})
}

func TestRefusedResponseTopicFailsAllAndTheNextTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		r := BeginRequest(t.Context(), client, Question("?"))
		Grant(conn)
		TakeRequest(conn)
		synctest.Wait()
		// The session is lost, and the server no longer allows the topic.
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.NotAuthorized}})
		err := r.Wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.False(t, mqtt.NotSent(err))

		r = BeginRequest(t.Context(), client, Question("?"))
		Grant(conn)
		conn.Send(ResponseTo(TakeRequest(conn), "!"))
		require.NoError(t, r.Wait())
	})
}

func TestRequestEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		r := BeginRequest(t.Context(), client, Question("?"))
		Grant(conn)
		TakeRequest(conn)
		conn.Close()
		client.Close()
		require.ErrorIs(t, r.Wait(), mqtt.ErrClosed)
		_, err := client.Request(t.Context(), Question("?"))
		require.ErrorIs(t, err, mqtt.ErrClosed)
		require.True(t, mqtt.NotSent(err))
	})
}

func TestResumedSessionKeepsNoResponseTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Resume = true
		client, conn := Open(t, srv, cfg)
		r := BeginRequest(t.Context(), client, Question("?"))
		topic := Grant(conn).Filters[0].Filter
		conn.Send(ResponseTo(TakeRequest(conn), "!"))
		require.NoError(t, r.Wait())
		b := Begin(client.Close)
		require.Equal(t, []string{topic}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
		conn.WantDisconnect(wire.Success)
		require.NoError(t, b.Wait())
	})
}

func TestRequestRefusesBadArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		over, cancel := context.WithCancel(t.Context())
		cancel()
		for name, test := range map[string]struct {
			ctx  context.Context
			m    *mqtt.Message
			want error
		}{
			"nil":                         {t.Context(), nil, mqtt.ErrInvalid},
			"wildcard":                    {t.Context(), &mqtt.Message{Topic: "a/#"}, mqtt.ErrInvalid},
			"wildcard in response topic":  {t.Context(), &mqtt.Message{Topic: "a", ResponseTopic: "+"}, mqtt.ErrInvalid},
			"response on its own topic":   {t.Context(), &mqtt.Message{Topic: "a", ResponseTopic: "a"}, mqtt.ErrInvalid},
			"correlation without a topic": {t.Context(), &mqtt.Message{Topic: "a", CorrelationData: []byte("x")}, mqtt.ErrInvalid},
			"context has ended":           {over, Question("?"), context.Canceled},
		} {
			_, err := client.Request(test.ctx, test.m)
			require.ErrorIs(t, err, test.want, name)
			require.True(t, mqtt.NotSent(err), name)
		}
		conn.WantIdle()
	})
}

func TestRequestOnANamedTopic(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		m := Question("?")
		m.ResponseTopic = "answers"
		r := BeginRequest(t.Context(), client, m)
		p := mqtttest.Take[*wire.Subscribe](conn)
		require.Equal(t, "answers", p.Filters[0].Filter)
		// What comes before the request answers an earlier one.
		conn.Send(To("answers", Pub(0, 0, "stale")), Suback(p))
		asked := TakeRequest(conn)
		if v == wire.V5 {
			require.Equal(t, "answers", asked.Properties.ResponseTopic)
		} else {
			require.Nil(t, asked.Properties)
		}
		retained := To("answers", Pub(0, 0, "retained"))
		retained.Retain = true
		conn.Send(retained, To("answers", Pub(0, 0, "!")))
		require.NoError(t, r.Wait())
		require.Equal(t, "!", string(r.Response.Payload))
		end := mqtttest.Take[*wire.Unsubscribe](conn)
		require.Equal(t, []string{"answers"}, end.Filters)
		require.Equal(t, uint64(2), client.Stats().StrayResponses)
	})
}

func TestRequestsOnANamedTopicWaitForOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := Open(t, srv, Quiet(srv))
		ask := func(ctx context.Context, payload, topic string) *Requesting {
			m := Question(payload)
			m.ResponseTopic = topic
			return BeginRequest(ctx, client, m)
		}
		first := ask(t.Context(), "1", "answers")
		Grant(conn)
		TakeRequest(conn)
		second := ask(t.Context(), "2", "answers")
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := ask(impatient, "3", "answers").Wait()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, mqtt.NotSent(err))
		conn.WantIdle()
		other := ask(t.Context(), "4", "elsewhere")
		Grant(conn)
		require.Equal(t, "4", string(TakeRequest(conn).Payload))
		conn.Send(To("elsewhere", Pub(0, 0, "re 4")))
		require.NoError(t, other.Wait())
		require.Equal(t, "re 4", string(other.Response.Payload))
		require.Equal(t, []string{"elsewhere"}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
		conn.Send(To("answers", Pub(0, 0, "re 1")))
		require.NoError(t, first.Wait())
		WantUnsubscribe(t, conn, "answers")
		Grant(conn)
		require.Equal(t, "2", string(TakeRequest(conn).Payload))
		conn.Send(To("answers", Pub(0, 0, "re 2")))
		require.NoError(t, second.Wait())
		require.Equal(t, "re 2", string(second.Response.Payload))
	})
}

func TestNamedTopicWithCorrelationTakesOnlyItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		m := Question("?")
		m.ResponseTopic, m.CorrelationData = "answers", []byte("7")
		r := BeginRequest(t.Context(), client, m)
		Grant(conn)
		p := TakeRequest(conn)
		require.Equal(t, "7", string(p.Properties.CorrelationData))
		other := ResponseTo(p, "other")
		other.Properties.CorrelationData = []byte("8")
		conn.Send(other, ResponseTo(p, "mine"))
		require.NoError(t, r.Wait())
		require.Equal(t, "mine", string(r.Response.Payload))
	})
}

func TestRequestWithoutATopicNeeds50(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := Open(t, srv, Quiet(srv))
		_, err := client.Request(t.Context(), Question("?"))
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.ErrorContains(t, err, "MQTT 3.1.1 has no response topics")
		conn.WantIdle()
	})
}
