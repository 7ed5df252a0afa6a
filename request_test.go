package mqtt_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// requesting is a Request under way.
type requesting struct {
	response *mqtt.Message
	*call
}

func beginRequest(ctx context.Context, c *mqtt.Client, m *mqtt.Message) *requesting {
	r := new(requesting)
	r.call = begin(func() (err error) {
		r.response, err = c.Request(ctx, m)
		return err
	})
	return r
}

func question(payload string) *mqtt.Message {
	return &mqtt.Message{Topic: "t", Payload: []byte(payload), QoS: mqtt.AtLeastOnce}
}

// takeRequest takes a PUBLISH that asks for a response, and acknowledges it.
func takeRequest(conn *mqtttest.Conn) *wire.Publish {
	p := mqtttest.Take[*wire.Publish](conn)
	conn.Send(puback(p.PacketID))
	return p
}

// responseTo answers p.
func responseTo(p *wire.Publish, payload string) *wire.Publish {
	return &wire.Publish{Topic: p.Properties.ResponseTopic, Payload: []byte(payload),
		Properties: &wire.PublishProperties{CorrelationData: p.Properties.CorrelationData}}
}

func TestRequestReturnsTheResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		r := beginRequest(t.Context(), client, question("?"))
		sub := grant(conn)
		require.Len(t, sub.Filters, 1)
		require.Regexp(t, `^responses/[A-Z2-7]{26}$`, sub.Filters[0].Filter)
		require.Equal(t, mqtt.DontSendRetained, sub.Filters[0].RetainHandling)
		p := takeRequest(conn)
		require.Equal(t, "?", string(p.Payload))
		require.Equal(t, sub.Filters[0].Filter, p.Properties.ResponseTopic)
		require.Len(t, p.Properties.CorrelationData, 16)
		require.False(t, r.over())
		conn.Send(responseTo(p, "!"))
		require.NoError(t, r.wait())
		require.Equal(t, "!", string(r.response.Payload))
		// The topic stays for the next one.
		r = beginRequest(t.Context(), client, question("?"))
		again := takeRequest(conn)
		require.Equal(t, p.Properties.ResponseTopic, again.Properties.ResponseTopic)
		require.NotEqual(t, p.Properties.CorrelationData, again.Properties.CorrelationData)
		conn.Send(responseTo(again, "!!"))
		require.NoError(t, r.wait())
		require.Zero(t, client.Stats().StrayResponses)
	})
}

func TestRequestsShareOneSubscriptionAndMayCrossEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		var all []*requesting
		for i := range 20 {
			all = append(all, beginRequest(t.Context(), client, question(fmt.Sprint(i))))
		}
		grant(conn)
		var asked []*wire.Publish
		for range all {
			asked = append(asked, takeRequest(conn))
		}
		for i := len(asked) - 1; i >= 0; i-- {
			conn.Send(responseTo(asked[i], "re "+string(asked[i].Payload)))
		}
		for i, r := range all {
			require.NoError(t, r.wait())
			require.Equal(t, fmt.Sprint("re ", i), string(r.response.Payload))
		}
		conn.WantIdle()
	})
}

func TestLateDuplicateAndForeignResponsesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		r := beginRequest(ctx, client, question("late"))
		grant(conn)
		late := takeRequest(conn)
		synctest.Wait()
		cancel()
		err := r.wait()
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, mqtt.NotSent(err))
		conn.Send(responseTo(late, "too late"))

		r = beginRequest(t.Context(), client, question("?"))
		p := takeRequest(conn)
		foreign, none, retained := responseTo(p, "foreign"), responseTo(p, "none"), responseTo(p, "old")
		foreign.Properties.CorrelationData = []byte("guess")
		none.Properties = nil
		retained.Retain = true
		conn.Send(foreign, none, retained, responseTo(p, "right"), responseTo(p, "twice"))
		require.NoError(t, r.wait())
		require.Equal(t, "right", string(r.response.Payload))
		synctest.Wait()
		require.Equal(t, uint64(5), client.Stats().StrayResponses)
	})
}

func TestRequestSurvivesALostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		r := beginRequest(t.Context(), client, question("?"))
		topic := grant(conn).Filters[0].Filter
		mqtttest.Take[*wire.Publish](conn) // and no acknowledgement
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		require.Equal(t, topic, grant(conn).Filters[0].Filter, "before the request is repeated")
		p := takeRequest(conn)
		require.False(t, p.Duplicate)
		conn.Send(responseTo(p, "!"))
		require.NoError(t, r.wait())
		require.Equal(t, "!", string(r.response.Payload))
	})
}

func TestRequestUsesResponseInformation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.RequestResponseInformation = true
		d := dial(t, cfg)
		conn := srv.Accept()
		require.True(t, conn.WantConnect().RequestResponseInformation)
		conn.Send(&wire.Connack{ResponseInformation: "mine/c1/"})
		client := d.client(t)
		old := beginRequest(t.Context(), client, question("old"))
		require.True(t, strings.HasPrefix(grant(conn).Filters[0].Filter, "mine/c1/"))
		first := takeRequest(conn)

		// Another node of the server, with another idea.
		conn.Close()
		conn = srv.Connected(&wire.Connack{SessionPresent: true, ResponseInformation: "yours"})
		renewed(t, conn)
		synctest.Wait()
		r := beginRequest(t.Context(), client, question("new"))
		require.True(t, strings.HasPrefix(grant(conn).Filters[0].Filter, "yours/"))
		p := takeRequest(conn)
		conn.Send(responseTo(p, "new"), responseTo(first, "old"))
		require.NoError(t, r.wait())
		require.NoError(t, old.wait())
		require.Equal(t, "old", string(old.response.Payload))
		// Nobody needs the old topic any more.
		require.Equal(t, []string{first.Properties.ResponseTopic}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
	})
}

func TestRequestRefusesUnusableResponseInformation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := openWith(t, srv, quiet(srv), &wire.Connack{ResponseInformation: "a/#"})
		_, err := client.Request(t.Context(), question("?"))
		require.ErrorContains(t, err, "response information of the server")
		require.True(t, mqtt.NotSent(err))
		conn.WantIdle()
	})
}

func TestResponsePrefixGoesBeforeResponseInformation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.ResponsePrefix = "apps/7"
		client, conn := openWith(t, srv, cfg, &wire.Connack{ResponseInformation: "other"})
		beginRequest(t.Context(), client, question("?"))
		require.True(t, strings.HasPrefix(grant(conn).Filters[0].Filter, "apps/7/"))
	})
	_, err := mqtt.Connect(t.Context(), "mqtt://server", mqtt.Config{ResponsePrefix: "a/+"})
	require.ErrorIs(t, err, mqtt.ErrInvalid)
	require.ErrorContains(t, err, "Config.ResponsePrefix")
}

func TestRequestThatNobodyGetsFailsAtOnce(t *testing.T) {
	for _, qos := range []mqtt.QoS{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := open(t, srv, quiet(srv))
			m := question("?")
			m.QoS = qos
			r := beginRequest(t.Context(), client, m)
			grant(conn)
			p := mqtttest.Take[*wire.Publish](conn)
			if qos == 1 {
				conn.Send(&wire.Puback{PacketID: p.PacketID, ReasonCode: wire.NoMatchingSubscribers})
			} else {
				conn.Send(&wire.Pubrec{PacketID: p.PacketID, ReasonCode: wire.NoMatchingSubscribers})
				conn.Want(pubrel(p.PacketID))
				conn.Send(pubcomp(p.PacketID))
			}
			err := r.wait()
			require.ErrorIs(t, err, mqtt.NoMatchingSubscribers)
			require.False(t, mqtt.NotSent(err))
		})
	}
}

func TestRetainedRequestWaitsForAResponder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		m := question("?")
		m.Retain = true
		r := beginRequest(t.Context(), client, m)
		grant(conn)
		p := mqtttest.Take[*wire.Publish](conn)
		conn.Send(&wire.Puback{PacketID: p.PacketID, ReasonCode: wire.NoMatchingSubscribers})
		require.False(t, r.over())
		conn.Send(responseTo(p, "!"))
		require.NoError(t, r.wait())
	})
}

func TestRefusedRequestReturnsTheServersWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		r := beginRequest(t.Context(), client, question("?"))
		grant(conn)
		p := mqtttest.Take[*wire.Publish](conn)
		conn.Send(&wire.Puback{PacketID: p.PacketID, ReasonCode: wire.NotAuthorized, ReasonString: "not you"})
		err := r.wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.ErrorContains(t, err, `mqtt: request "t"`)
		require.ErrorContains(t, err, "not you")
	})
}

func TestRequestTakesAResponseThatOvertakesThePuback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		m := question("mine")
		r := beginRequest(t.Context(), client, m)
		grant(conn)
		p := mqtttest.Take[*wire.Publish](conn)
		conn.Send(responseTo(p, "!"))
		require.NoError(t, r.wait())
		copy(m.Payload, "evil") // ours again
		conn.Close()
		conn = srv.Connected(resumed())
		renewed(t, conn)
		again := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "mine", string(again.Payload))
	})
}

func TestOneRequesterThatGivesUpDoesNotHarmOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		first := beginRequest(ctx, client, question("1")) // has to subscribe
		abandoned := mqtttest.Take[*wire.Subscribe](conn)
		second := beginRequest(t.Context(), client, question("2"))
		require.False(t, second.over())
		cancel()
		err := first.wait()
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, mqtt.NotSent(err), "the request was not sent")
		require.Equal(t, abandoned.Filters[0].Filter, mqtttest.Take[*wire.Unsubscribe](conn).Filters[0])
		grant(conn)
		conn.Send(responseTo(takeRequest(conn), "!"))
		require.NoError(t, second.wait())
	})
}

func TestRefusedResponseTopicFailsAllAndTheNextTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		r := beginRequest(t.Context(), client, question("?"))
		grant(conn)
		takeRequest(conn)
		synctest.Wait()
		// The session is lost, and the server no longer allows the topic.
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.NotAuthorized}})
		err := r.wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.False(t, mqtt.NotSent(err))

		r = beginRequest(t.Context(), client, question("?"))
		grant(conn)
		conn.Send(responseTo(takeRequest(conn), "!"))
		require.NoError(t, r.wait())
	})
}

func TestRequestEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		r := beginRequest(t.Context(), client, question("?"))
		grant(conn)
		takeRequest(conn)
		conn.Close()
		client.Close()
		require.ErrorIs(t, r.wait(), mqtt.ErrClosed)
		_, err := client.Request(t.Context(), question("?"))
		require.ErrorIs(t, err, mqtt.ErrClosed)
		require.True(t, mqtt.NotSent(err))
	})
}

func TestResumedSessionKeepsNoResponseTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.Resume = true
		client, conn := open(t, srv, cfg)
		r := beginRequest(t.Context(), client, question("?"))
		topic := grant(conn).Filters[0].Filter
		conn.Send(responseTo(takeRequest(conn), "!"))
		require.NoError(t, r.wait())
		b := begin(client.Close)
		require.Equal(t, []string{topic}, mqtttest.Take[*wire.Unsubscribe](conn).Filters)
		conn.WantDisconnect(wire.Success)
		require.NoError(t, b.wait())
	})
}

func TestRequestRefusesBadArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
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
			"context has ended":           {over, question("?"), context.Canceled},
		} {
			_, err := client.Request(test.ctx, test.m)
			require.ErrorIs(t, err, test.want, name)
			require.True(t, mqtt.NotSent(err), name)
		}
		conn.WantIdle()
	})
}
