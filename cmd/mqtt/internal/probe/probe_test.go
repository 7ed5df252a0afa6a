package probe

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// usual are the options of the command, with so much time that no slow machine is taken
// for a silent server.
func usual() Options {
	return Options{Timeout: 2 * time.Minute, Prefix: "probe", MaxPayload: 64 << 10, MaxTopic: 1024, MaxFilters: 64}
}

func full(t *testing.T, server string, cfg mqtt.Config, o Options) *Result {
	t.Helper()
	res, err := probe(t.Context(), server, cfg, o, func(string) {})
	require.NoError(t, err)
	require.Empty(t, res.Left)
	return res
}

// find returns a check. Some have the name of an announcement.
func (r *Result) find(t *testing.T, group, name string) Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Group == group && c.Name == name {
			return c
		}
	}
	require.Fail(t, "no such check", "%s: %s", group, name)
	return Check{}
}

// want compares checks, given as group, name and answer, with the value if there is one.
func want(t *testing.T, r *Result, rows ...[3]string) {
	t.Helper()
	for _, row := range rows {
		c := r.find(t, row[0], row[1])
		require.Equal(t, row[2], c.shown(), "%s: %s (%s)", row[0], row[1], c.Note)
	}
}

func wantNothingWrong(t *testing.T, r *Result) {
	t.Helper()
	for _, c := range r.Checks {
		require.NotEqual(t, Wrong, c.Answer, "%s: %s", c.Name, c.Note)
	}
}

// inProcess starts a broker of this process.
func inProcess(t *testing.T, cfg broker.Config) (*broker.Broker, string) {
	b := broker.New(cfg)
	t.Cleanup(func() { b.Close() })
	addr, err := b.Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return b, "mqtt://" + addr.String()
}

func wantNothingLeft(t *testing.T, b interface{ Stats() broker.Stats }) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		s := b.Stats()
		require.Zero(c, s.Retained)
		require.Zero(c, s.Sessions)
		require.Zero(c, s.Connected)
	}, time.Minute, 5*time.Millisecond)
}

func TestMosquittoIsSeenAsItIs(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{MaxInflight: 20})
	r := full(t, server.URL(), mqtt.Config{}, usual())
	want(t, r,
		[3]string{"protocol", "MQTT 5.0", "yes"}, [3]string{"protocol", "MQTT 3.1.1", "yes"}, [3]string{"protocol", "MQTT 3.1", "yes"},
		[3]string{"protocol", "MQTT 3.1.1 as a bridge", "yes"}, [3]string{"protocol", "empty client identifier", "yes"},
		[3]string{"announced", "receive maximum", "20"}, [3]string{"announced", "maximum QoS", "2"},
		[3]string{"announced", "maximum packet size", "no limit"}, [3]string{"announced", "topic alias maximum", "10"},
		[3]string{"messages", "QoS 1", "yes"}, [3]string{"messages", "QoS 2", "yes"}, [3]string{"messages", "order of messages", "yes"},
		[3]string{"messages", "topic alias to the server", "yes"},
		[3]string{"subscriptions", "copies of a message for overlapping filters", "3"},
		[3]string{"subscriptions", "shared subscription", "yes, 10 + 10"},
		[3]string{"sessions", "session is resumed, with its messages", "yes"}, [3]string{"sessions", "messages expire", "yes"},
		[3]string{"limits", "largest payload", "at least 65536 bytes"}, [3]string{"limits", "most filters in one SUBSCRIBE", "at least 64 filters"},
	)
	wantNothingWrong(t, r)
}

func TestLimitsOfMosquittoAreFound(t *testing.T) {
	t.Parallel()
	limits := []string{
		"max_qos 1", "retain_available false", "max_packet_size 3000", "max_topic_alias 0", "max_keepalive 100", "message_size_limit 2000",
	}
	server := mosquitto.Start(t, mosquitto.Options{MaxInflight: 7, Config: limits})
	t.Run("5.0", func(t *testing.T) {
		t.Parallel()
		r := full(t, server.URL(), mqtt.Config{}, usual())
		want(t, r,
			[3]string{"announced", "receive maximum", "7"}, [3]string{"announced", "maximum QoS", "1"},
			[3]string{"announced", "maximum packet size", "3000 bytes"}, [3]string{"announced", "topic alias maximum", "0"},
			[3]string{"announced", "retained messages", "no"}, [3]string{"announced", "server keep-alive", "100 s"},
			[3]string{"messages", "QoS 1", "yes"}, [3]string{"messages", "QoS 2", "no"}, [3]string{"messages", "topic alias to the server", "no"},
			[3]string{"retained messages", "kept and sent to new subscriptions", "not tested"},
			// It announces packets of 3000 bytes, and refuses payloads above 2000.
			[3]string{"limits", "largest payload", "wrong"},
		)
		require.Contains(t, r.find(t, "limits", "largest payload").Note, "more than 2000 bytes")
	})
	// Before 5.0 nothing is announced, and all has to be found.
	t.Run("3.1.1", func(t *testing.T) {
		t.Parallel()
		r := full(t, server.URL(), mqtt.Config{Version: mqtt.V311}, usual())
		require.Equal(t, "3.1.1", r.Version)
		want(t, r,
			[3]string{"announced", "receive maximum", "not tested"},
			[3]string{"messages", "QoS 1", "yes"}, [3]string{"messages", "QoS 2", "no"},
			[3]string{"retained messages", "kept and sent to new subscriptions", "no"},
			[3]string{"sessions", "session is resumed, with its messages", "yes"},
			[3]string{"limits", "largest payload", "2000 bytes"},
		)
	})
}

func TestTheBrokerKeepsItsWord(t *testing.T) {
	t.Parallel()
	for _, v := range []mqtt.Version{mqtt.Auto, mqtt.V311, mqtt.V31} {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			b, server := inProcess(t, broker.Config{})
			o := usual()
			o.Deep = v == mqtt.Auto
			r := full(t, server, mqtt.Config{Version: v}, o)
			wantNothingWrong(t, r)
			for _, c := range r.Checks {
				if c.Answer == NotTested {
					require.Contains(t, []string{"needs MQTT 5.0", "needs MQTT 3.1.1 or 5.0", "needs --deep", "the server has announced no maximum", "the announced maximum is above 16 MiB"}, c.Note, c.Name)
				}
			}
			if v == mqtt.Auto {
				want(t, r,
					[3]string{"subscriptions", "copies of a message for overlapping filters", "1"},
					[3]string{"messages", "topic alias from the server", "yes"},
					[3]string{"limits", "most levels of a topic", "128 levels"},
					[3]string{"sessions", "longest session expiry", "604800 s"},
				)
				require.Empty(t, r.find(t, "protocol", "take-over of a client identifier").Note)
				require.Equal(t, Yes, r.find(t, "protocol", "keep-alive is enforced").Answer)
			}
			wantNothingLeft(t, b)
		})
	}
}

func TestLimitsOfTheBrokerAreFound(t *testing.T) {
	t.Parallel()
	b, server := inProcess(t, broker.Config{
		Versions: []wire.Version{wire.V5}, MaximumQoS: new(wire.AtMostOnce), NoRetained: true, NoWildcards: true, NoShared: true, NoSubscriptionIDs: true,
		ResponseInformation: "responses/%c", KeepAliveMaximum: 30 * time.Second, SessionExpiryMaximum: 10 * time.Minute,
		MaximumPacketSize: 2000, ReceiveMaximum: 9, TopicAliasMaximum: -1, TopicAliasesSent: -1, TopicLevels: 10, SubscriptionsPerClient: 5,
	})
	o := usual()
	o.Deep = true
	r := full(t, server, mqtt.Config{}, o)
	want(t, r,
		[3]string{"protocol", "MQTT 3.1.1", "no"}, [3]string{"protocol", "MQTT 3.1", "no"}, [3]string{"protocol", "MQTT 3.1.1 as a bridge", "no"},
		[3]string{"announced", "receive maximum", "9"}, [3]string{"announced", "maximum QoS", "0"},
		[3]string{"announced", "maximum packet size", "2000 bytes"}, [3]string{"announced", "topic alias maximum", "0"},
		[3]string{"announced", "retained messages", "no"}, [3]string{"announced", "wildcard subscriptions", "no"},
		[3]string{"announced", "shared subscriptions", "no"}, [3]string{"announced", "subscription identifiers", "no"},
		[3]string{"announced", "session expiry granted", "600 s"}, [3]string{"announced", "server keep-alive", "30 s"},
		[3]string{"messages", "QoS 1", "no"}, [3]string{"messages", "topic alias from the server", "no"},
		[3]string{"subscriptions", "wildcard +", "not tested"}, [3]string{"subscriptions", "shared subscription", "not tested"},
		[3]string{"limits", "most levels of a topic", "10 levels"}, [3]string{"limits", "most filters in one SUBSCRIBE", "5 filters"},
		[3]string{"limits", "a packet above the announced maximum", "no"}, [3]string{"sessions", "longest session expiry", "600 s"},
	)
	require.Contains(t, r.find(t, "announced", "response information").Value, "responses/probe")
	require.Contains(t, r.find(t, "limits", "largest payload").Note, "announced maximum packet size of 2000 bytes")
	wantNothingWrong(t, r)
	wantNothingLeft(t, b)
}

// newSuiteOf returns a suite that has connected.
func newSuiteOf(t *testing.T, server string, cfg mqtt.Config) (*suite, error) {
	d, err := newDialer(server, cfg)
	if err != nil {
		return nil, err
	}
	s := newSuite(d, usual())
	t.Cleanup(func() { s.closePeers() })
	first := versionTests()[0]
	c := s.perform(t.Context(), &first)
	if c.Answer != Yes {
		return nil, errors.New(c.Note)
	}
	return s, nil
}

// only performs one check.
func (s *suite) only(t *testing.T, group, name string) Check {
	for _, list := range [][]test{identifierTests(), messageTests(), retainedTests(), filterTests(), sessionTests(), limitTests()} {
		for _, one := range list {
			if one.group == group && one.name == name {
				return s.perform(t.Context(), &one)
			}
		}
	}
	require.Fail(t, "no such check", "%s: %s", group, name)
	return Check{}
}

// Interrupted in the middle of any check, a probe leaves nothing.
func TestInterruptedProbeLeavesNothing(t *testing.T) {
	for _, name := range []string{
		"MQTT 5.0", "take-over of a client identifier", "retain handling: send if new",
		"session is resumed, with its messages", "messages expire",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := mqtttest.NewBroker(t)
			ctx, interrupt := context.WithCancelCause(t.Context())
			cause := errors.New("enough")
			res, err := probe(ctx, b.URL(), mqtt.Config{}, usual(), func(check string) {
				if check == name {
					// In its course: when the next acknowledgement comes.
					b.Control(wire.TypeConnack, func(*mqtttest.Packet) { interrupt(cause) })
				}
			})
			require.ErrorIs(t, err, cause)
			require.True(t, res.Interrupted)
			require.Empty(t, res.Left)
			wantNothingLeft(t, b)
		})
	}
}

func TestMissingRightsAreTheReason(t *testing.T) {
	t.Parallel()
	_, server := inProcess(t, broker.Config{Authorizers: []broker.Authorizer{broker.AuthorizerFunc(func(_ context.Context, a *broker.Access) broker.Decision {
		if a.Action == broker.SubscribeAction {
			return broker.Deny(wire.NotAuthorized, "")
		}
		return broker.Allow()
	})}})
	r := full(t, server, mqtt.Config{}, usual())
	want(t, r, [3]string{"messages", "a message comes back", "no"}, [3]string{"messages", "QoS 1", "not tested"})
	require.Contains(t, r.find(t, "messages", "QoS 1").Note, "not authorized (0x87)")
}

func TestCertificateIsShown(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{TLS: true})
	conf := server.ClientTLS()
	conf.NextProtos = []string{"mqtt"}
	s, err := newSuiteOf(t, server.TLSURL(), mqtt.Config{TLS: conf})
	require.NoError(t, err)
	address, state := s.dialer.last()
	require.Equal(t, server.TLSAddr(), address)
	shown := tlsOf(state)
	require.Equal(t, "TLS 1.3", shown.Version)
	require.True(t, shown.Verified)
	require.Contains(t, shown.Names, "localhost")
	require.True(t, shown.Expires.After(time.Now()))
	require.Equal(t, Yes, s.only(t, groupMessages, "QoS 2").Answer)
}

func TestBisectFindsTheLimit(t *testing.T) {
	for limit := 1; limit <= 40; limit++ {
		tries := 0
		n, whole, err := bisect(1, 32, func(n int) (bool, error) {
			tries++
			return n <= limit, nil
		})
		require.NoError(t, err)
		require.Equal(t, min(limit, 32), n)
		require.Equal(t, limit >= 32, whole)
		require.LessOrEqual(t, tries, 7)
	}
	_, _, err := bisect(1, 32, func(int) (bool, error) { return false, errSlow })
	require.ErrorIs(t, err, errSlow)
}

func TestPayloadThatFitsIsCalculated(t *testing.T) {
	for size := 20; size < 300; size++ {
		n := payloadWithin("topic", 1, size)
		m := wire.Publish{Topic: "topic", QoS: 1, PacketID: 1, Payload: make([]byte, n)}
		require.LessOrEqual(t, m.Size(wire.V5), size)
		m.Payload = make([]byte, n+1)
		require.Greater(t, m.Size(wire.V5), size, fmt.Sprint(size))
	}
}

func TestWebSocketIsProbed(t *testing.T) {
	t.Parallel()
	b := broker.New(broker.Config{})
	t.Cleanup(func() { b.Close() })
	addr, err := b.Listen(context.Background(), "ws", "127.0.0.1:0")
	require.NoError(t, err)
	s, err := newSuiteOf(t, "ws://"+addr.String()+"/mqtt", mqtt.Config{})
	require.NoError(t, err)
	require.Equal(t, Yes, s.only(t, groupMessages, "QoS 2").Answer)
	require.Equal(t, "1024 bytes", s.only(t, groupLimits, "longest topic").Value[len("at least "):])
}
