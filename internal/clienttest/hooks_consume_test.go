package clienttest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestHooksSeeWhatIsHandled(t *testing.T) {
	for name, concurrency := range map[string]int{"in turn": 0, "in lanes": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := Quiet(srv)
				log := new(notes)
				cfg.Hooks = []mqtt.Hook{witness("a", log), indifferent, {}, witness("b", log)}
				client, conn := Open(t, srv, cfg)
				failure := errors.New("no good")
				end := Begin(func() error {
					o := mqtt.SubscribeOptions{Filters: Filters("x/+", "#"), Concurrency: concurrency}
					return client.Handle(t.Context(), o, func(ctx context.Context, m *mqtt.Message) error {
						log.add("%s for %v", m.Payload, path(ctx))
						switch string(m.Payload) {
						case "refused":
							return mqtt.QuotaExceeded
						case "bad":
							return failure
						}
						return nil
					})
				})
				Grant(conn)
				conn.Send(Pub(0, 0, "good"), Pub(1, 1, "refused"), Pub(2, 1, "bad"))
				require.ErrorIs(t, end.Wait(), failure)
				require.Equal(t, []string{
					`a: good from "#" by handle`, `b: good from "#" by handle`, "good for ab", "b: good: <nil>", "a: good: <nil>",
					`a: refused from "#" by handle`, `b: refused from "#" by handle`, "refused for ab", "b: refused: quota exceeded (0x97)", "a: refused: quota exceeded (0x97)",
					`a: bad from "#" by handle`, `b: bad from "#" by handle`, "bad for ab", "b: bad: no good", "a: bad: no good",
				}, log.take())
			})
		})
	}
}

func TestHooksSeeABatchOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(notes)
		cfg.Hooks = []mqtt.Hook{witness("h", log), {
			Consume: func(ctx context.Context, m *mqtt.ConsumeInfo) (context.Context, func(error)) {
				log.add("%d from %s on", len(m.Batch), m.Batch[0].Payload)
				require.Same(t, m.Message, m.Batch[0])
				return ctx, nil
			}}}
		client, conn := Open(t, srv, cfg)
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(Pub(1, 1, "one"), Pub(2, 1, "two"), Pub(3, 1, "three"))
		synctest.Wait()
		failure := errors.New("no good")
		err := sub.HandleBatches(t.Context(), mqtt.BatchOptions{Messages: 2}, func(ctx context.Context, batch []*mqtt.Message) error {
			log.add("%d for %v", len(batch), path(ctx))
			if len(batch) == 1 {
				return failure
			}
			clear(batch) // it is the function's own
			return nil
		})
		require.ErrorIs(t, err, failure)
		require.Equal(t, []string{
			`h: one from "t" by batches`, "2 from one on", "2 for h", "h: one: <nil>",
			`h: three from "t" by batches`, "1 from three on", "1 for h", "h: three: no good",
		}, log.take())
	})
}

func TestHooksAreToldOfTheFilterThatATopicMatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(notes)
		client, conn := hooked(t, log)
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("a/+", "$share/g/b/#", "$queue/c")})
		for _, topic := range []string{"a/1", "b/2", "c"} {
			conn.Send(IDs(To(topic, Pub(0, 0, topic)), 1))
			Next(t, sub)
		}
		require.Equal(t, []string{
			`h: a/1 from "a/+" by next`, "h: a/1: <nil>",
			`h: b/2 from "$share/g/b/#" by next`, "h: b/2: <nil>",
			`h: c from "$queue/c" by next`, "h: c: <nil>",
		}, log.take())
	})
}

func TestHooksSeeWhatIsTakenFromAChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(notes)
		client, conn := hooked(t, log)
		sub := Subscribe(t, client, conn, "t", 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		stream := sub.Stream(ctx)
		conn.Send(Pub(1, 1, "one"), Pub(2, 1, "two"))
		synctest.Wait()
		require.Equal(t, []string{`h: one from "t" by stream`}, log.take(), "it waits for a receiver")
		<-stream
		synctest.Wait()
		require.Equal(t, []string{"h: one: <nil>", `h: two from "t" by stream`}, log.take())
		cancel(errors.New("enough"))
		synctest.Wait()
		require.Equal(t, []string{"h: two: enough"}, log.take())
		<-sub.Messages()
		synctest.Wait()
		require.Equal(t, []string{`h: two from "t" by messages`, "h: two: <nil>"}, log.take())
		conn.Want(Puback(1), Puback(2))
		conn.Send(Pub(3, 1, "three"))
		synctest.Wait()
		log.take()
		end := Begin(client.Close)
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
		require.Equal(t, []string{"h: three: client closed"}, log.take())
	})
}

func TestHooksSeeTheBodiesOfALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(notes)
		client, conn := hooked(t, log)
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(Pub(1, 1, "one"), Pub(2, 1, "two"), Pub(3, 1, "three"))
		for m, err := range sub.All(t.Context()) {
			require.NoError(t, err)
			log.add("body of %s", m.Payload)
			if string(m.Payload) == "two" {
				break
			}
		}
		require.Equal(t, []string{`h: one from "t" by all`, "body of one", "h: one: <nil>",
			`h: two from "t" by all`, "body of two", "h: two: <nil>"}, log.take())
		require.PanicsWithValue(t, "oh", func() {
			for range sub.All(t.Context()) {
				panic("oh")
			}
		})
		require.Equal(t, []string{`h: three from "t" by all`, "h: three: the function has not returned"}, log.take())
		conn.Want(Puback(1), Puback(2))
	})
}

func TestHooksHearOfAHandlerThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(notes)
		client, conn := hooked(t, log)
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(Pub(1, 1, "one"))
		require.PanicsWithValue(t, "oh", func() {
			sub.Handle(t.Context(), func(context.Context, *mqtt.Message) error { panic("oh") })
		})
		require.Equal(t, []string{`h: one from "t" by handle`, "h: one: the function has not returned"}, log.take())
	})
}

// TestHooksSeeBothSidesOfARequest checks also that the response is published with what
// hooks have put into the context of the function.
func TestHooksSeeBothSidesOfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		asking, answering := new(notes), new(notes)
		withHooks := func(id string, hooks ...mqtt.Hook) *mqtt.Client {
			return connectTo(t, b, mqtt.Config{ClientID: id, Hooks: hooks})
		}
		requester, responder := withHooks("requester", witness("a", asking)), withHooks("responder", witness("b", answering), witness("c", answering))
		ctx, stop := context.WithCancel(context.WithValue(t.Context(), pathKey{}, "r"))
		end := Begin(func() error {
			return responder.Respond(ctx, "t", func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
				answering.add("%s for %v", m.Payload, path(ctx))
				if string(m.Payload) == "bad" {
					return nil, errors.New("no good")
				}
				return &mqtt.Message{Payload: []byte("answer")}, nil
			})
		})
		synctest.Wait()
		answer, err := requester.Request(t.Context(), Question("good"))
		require.NoError(t, err)
		require.Equal(t, by("b", "c"), answer.UserProperties)
		synctest.Wait()
		require.Equal(t, []string{"a: good by request", `a: answer from "" by request`, "a: answer: <nil>", "a: good: success (0x00), <nil>"}, asking.take())
		require.Equal(t, []string{
			`b: good from "t" by respond`, `c: good from "t" by respond`, "good for rbc", "c: good: <nil>", "b: good: <nil>",
			"b: answer by respond", "c: answer by respond", "c: answer: success (0x00), <nil>", "b: answer: success (0x00), <nil>",
		}, answering.take())
		_, err = requester.Request(t.Context(), Question("bad"))
		require.Error(t, err)
		synctest.Wait()
		require.Equal(t, []string{"a: bad by request", `a:  from "" by request`}, asking.take()[:2])
		require.Equal(t, []string{"c: bad: no good", "b: bad: no good", "b:  by respond", "c:  by respond"}, answering.take()[3:7])
		stop()
		require.ErrorIs(t, end.Wait(), context.Canceled)
	})
}

// TestTheContextOfAResponseHasTheValuesOfTheHandler looks at what the hook of the response
// gets.
func TestTheContextOfAResponseHasTheValuesOfTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(notes)
		cfg.Hooks = []mqtt.Hook{witness("a", new(notes)), {
			Publish: func(ctx context.Context, m *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
				log.add("%s for %s, %v", m.Message.Payload, path(ctx), ctx.Err())
				return ctx, nil
			}}}
		client, conn := Open(t, srv, cfg)
		Respond(t, client, conn, 1, func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			return &mqtt.Message{Payload: []byte("answer")}, nil
		})
		request := Pub(7, 1, "question")
		request.Properties = &wire.PublishProperties{ResponseTopic: "r"}
		conn.Send(request)
		p := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, by("a"), p.Properties.UserProperties)
		require.Equal(t, []string{"answer for aa, <nil>"}, log.take(), "once by the hook of the request, once by that of the response")
		conn.Send(Puback(p.PacketID))
		conn.Want(Puback(7))
	})
}

func TestHooksHearOfARequestThatWasWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(notes)
		cfg.Hooks = []mqtt.Hook{witness("a", log)}
		client, conn := Open(t, srv, cfg)
		first := BeginRequest(t.Context(), client, Question("first"))
		Grant(conn)
		conn.Send(ResponseTo(TakeRequest(conn), "!"))
		require.NoError(t, first.Wait())
		srv.Refuse()
		conn.Close()
		synctest.Wait()
		log.take()
		ctx, cancel := context.WithCancel(t.Context())
		second := BeginRequest(ctx, client, Question("second"))
		synctest.Wait()
		cancel()
		err := second.Wait()
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, mqtt.NotSent(err))
		synctest.Wait()
		require.Equal(t, []string{"a: second by request", `a: second: success (0x00), mqtt: request "t": context canceled (not sent)`}, log.take())
	})
}

func TestHooksOfAConnectionOfItsOwnNameIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		log := new(notes)
		client := connectTo(t, b, mqtt.Config{ClientID: "c", Version: mqtt.V311, Hooks: []mqtt.Hook{{
			Publish: func(ctx context.Context, m *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
				log.add("published by %.3s, %v", m.Server.ClientID, m.Server.Version)
				return ctx, nil
			},
			Consume: func(ctx context.Context, m *mqtt.ConsumeInfo) (context.Context, func(error)) {
				log.add("consumed by %.2s, %v", m.Server.ClientID, m.Server.Version)
				return ctx, nil
			}}}})
		sub, err := client.SubscribeWith(t.Context(), apart("t"))
		require.NoError(t, err)
		require.NoError(t, client.Publish(t.Context(), "t", []byte("x"), mqtt.AtMostOnce))
		Next(t, sub)
		require.Equal(t, []string{"published by c, 3.1.1", "consumed by c-, 3.1.1"}, log.take())
	})
}
