package mqtt_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

var long = strings.Repeat("x", 65536)

func TestBadConfigurationIsRefusedBeforeDialling(t *testing.T) {
	text := []mqtt.UserProperty{{Name: "a", Value: "b"}}
	for name, cfg := range map[string]mqtt.Config{
		"version":                 {Version: 9},
		"client id not UTF-8":     {ClientID: "\xff"},
		"client id with U+0000":   {ClientID: "a\x00"},
		"client id too long":      {ClientID: long},
		"client id for 3.1":       {ClientID: strings.Repeat("x", 24), Version: mqtt.V31},
		"resume without id":       {Resume: true},
		"user name":               {Username: "\xff"},
		"password too long":       {Username: "u", Password: mqtt.Secret(long)},
		"password alone on 3.1.1": {Password: "p", Version: mqtt.V311},
		"keep alive":              {KeepAlive: 65536 * time.Second},
		"session expiry":          {SessionExpiry: 1 << 62},
		"ping timeout":            {PingTimeout: -1},
		"connect timeout":         {ConnectTimeout: -1},
		"write timeout":           {WriteTimeout: -1},
		"inflight":                {Inflight: -1},
		"queue messages":          {QueueMessages: -1},
		"packets of no size":      {MaximumPacketSize: 15},
		"queue bytes":             {QueueBytes: -1},
		"when full":               {WhenFull: mqtt.WhenFull{Acknowledged: 5}},
		"queue age":               {QueueAge: -1},
		"queue bytes of QoS 0":    {QueueAtMostOnce: mqtt.QueueLimits{Bytes: -1}},
		"queue age of QoS 0":      {QueueAtMostOnce: mqtt.QueueLimits{Age: -1}},
		"age of what cannot wait": {QueueAtMostOnce: mqtt.QueueLimits{Messages: -1, Age: 1}},
		"reconnect policy":        {Reconnect: reconnect.Policy{Min: -1}},
		"user properties":         {UserProperties: []mqtt.UserProperty{{Name: "\xff"}}},
		"properties on 3.1.1":     {UserProperties: text, Version: mqtt.V311},
		"further server":          {Servers: []string{"mqtt://good", "nonsense"}},
		"credentials of a server": {Servers: []string{"mqtt://u:" + long + "@host"}},
		"server order":            {ServerOrder: 3},
		"proxy scheme":            {Proxy: "mqtt://host"},
		"proxy without host":      {Proxy: "http://"},
		"proxy with path":         {Proxy: "http://host/path"},
		"proxy not a URL":         {Proxy: "\x00"},
		"local address":           {LocalAddr: "localhost"},
		"local port":              {LocalAddr: "127.0.0.1:99999"},
		"local address and Dial":  {LocalAddr: "127.0.0.1"},
		"header name":             {Header: http.Header{"a b": nil}},
		"header value":            {Header: http.Header{"A": {"a\nb"}}},
		"header of the handshake": {Header: http.Header{"sec-websocket-extensions": {"permessage-deflate"}}},
		"no name for TLS":         {Servers: []string{"mqtts+unix:///run/s"}},
		"will topic":              {Will: &mqtt.Will{}},
		"will wildcard":           {Will: &mqtt.Will{Message: mqtt.Message{Topic: "a/#"}}},
		"will QoS":                {Will: &mqtt.Will{Message: mqtt.Message{Topic: "a", QoS: 3}}},
		"will payload":            {Will: &mqtt.Will{Message: mqtt.Message{Topic: "a", Payload: []byte(long)}}},
		"will delay":              {Will: &mqtt.Will{Message: mqtt.Message{Topic: "a"}, DelayInterval: -1}},
		"will delay too long":     {Will: &mqtt.Will{Message: mqtt.Message{Topic: "a"}, DelayInterval: 1 << 62}},
		"will delay on 3.1.1":     {Will: &mqtt.Will{Message: mqtt.Message{Topic: "a"}, DelayInterval: 1}, Version: mqtt.V311},
		"will property on 3.1":    {Will: &mqtt.Will{Message: mqtt.Message{Topic: "a", ContentType: "c"}}, Version: mqtt.V31},
	} {
		cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
			t.Error("dialled with a bad configuration: " + name)
			return nil, net.ErrClosed
		}
		client, err := mqtt.Connect(t.Context(), "mqtt://host", cfg)
		require.ErrorIs(t, err, mqtt.ErrInvalid, name)
		require.Nil(t, client)
		require.True(t, strings.HasPrefix(err.Error(), "mqtt: "), "%v", err)
		require.Less(t, len(err.Error()), 300)
	}
}

func TestBadURLsAreRefused(t *testing.T) {
	for _, url := range []string{"", "host", "host:1883", "127.0.0.1:1883", "http://host", "mqtt://", "mqtt:///path", "mqtt://host/path",
		"mqtt://host?x=y", "mqtt://host#x", "unix://", "mqtt://host:port", "://", "mqtt://%zz",
		"mqtt://host:0", "mqtt://host:65536", "ws://", "ws://host#x", "ws://host/a@b", "ws://host?a@b", "ws+unix://", "ws+unix:///run/s:mqtt",
		"unix:///run/s?x=y", "mqtt+srv://", "mqtt+srv://host:1", "mqtts+srv://host/x", "ws+srv://host", "wss+unix:///run/s"} {
		_, err := mqtt.Connect(t.Context(), url, mqtt.Config{})
		require.ErrorIs(t, err, mqtt.ErrInvalid, url)
	}
}

func TestBadMessagesAreRefusedBeforeAnythingIsSent(t *testing.T) {
	props := func(name, value string) []mqtt.UserProperty { return []mqtt.UserProperty{{Name: name, Value: value}} }
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		for name, m := range map[string]*mqtt.Message{
			"nil":                     nil,
			"empty topic":             {},
			"wildcard +":              {Topic: "a/+"},
			"wildcard #":              {Topic: "#"},
			"topic with U+0000":       {Topic: "a\x00"},
			"topic not UTF-8":         {Topic: "a\xff"},
			"topic too long":          {Topic: long},
			"QoS":                     {Topic: "t", QoS: 3},
			"expiry":                  {Topic: "t", MessageExpiryInterval: new(-time.Second)},
			"response topic":          {Topic: "t", ResponseTopic: "a/#"},
			"content type not UTF-8":  {Topic: "t", ContentType: "\xff"},
			"content type too long":   {Topic: "t", ContentType: long},
			"correlation too long":    {Topic: "t", CorrelationData: []byte(long)},
			"property name":           {Topic: "t", UserProperties: props("\xff", "")},
			"property value":          {Topic: "t", UserProperties: props("a", "\x00")},
			"property value too long": {Topic: "t", UserProperties: props("a", long)},
			"payload":                 {Topic: "t", Payload: make([]byte, wire.MaxRemainingLength+1)},
		} {
			err := client.PublishMessage(t.Context(), m)
			require.ErrorIs(t, err, mqtt.ErrInvalid, name)
			require.True(t, mqtt.NotSent(err))
			require.Less(t, len(err.Error()), 300)
			_, err = client.PublishAsync(t.Context(), m)
			require.ErrorIs(t, err, mqtt.ErrInvalid, name)
			require.True(t, mqtt.NotSent(err))
		}
		require.ErrorIs(t, client.Publish(t.Context(), "", nil, 0), mqtt.ErrInvalid)
		conn.WantIdle()
		require.Zero(t, client.Stats().Published)
	})
}

func TestPayloadThatFitsNoPacketIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("needs half a gigabyte")
	}
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		payload := make([]byte, wire.MaxRemainingLength) // the topic is too much
		for qos := range mqtt.QoS(3) {
			err := client.Publish(t.Context(), "t", payload, qos)
			var field *wire.FieldError
			require.ErrorAs(t, err, &field)
			require.True(t, mqtt.NotSent(err))
		}
		conn.WantIdle()
	})
}

func TestPropertiesNeedVersion5(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		if v == wire.V5 {
			return
		}
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		for name, m := range map[string]mqtt.Message{
			"payload format":   {PayloadFormatUTF8: true},
			"content type":     {ContentType: "c"},
			"response topic":   {ResponseTopic: "r"},
			"correlation data": {CorrelationData: []byte{}},
			"user properties":  {UserProperties: []mqtt.UserProperty{{Name: "a", Value: "b"}}},
		} {
			for qos := range mqtt.QoS(3) {
				m.Topic, m.QoS = "t", qos
				err := client.PublishMessage(t.Context(), &m)
				var field *wire.FieldError
				require.ErrorAs(t, err, &field, name)
				require.True(t, mqtt.NotSent(err), name)
			}
		}
		for _, o := range []mqtt.SubscribeOptions{
			{Filters: []mqtt.Filter{{Filter: "t", NoLocal: true}}},
			{Filters: []mqtt.Filter{{Filter: "t", RetainAsPublished: true}}},
			{Filters: []mqtt.Filter{{Filter: "t", RetainHandling: mqtt.DontSendRetained}}},
			{Filters: Filters("t"), UserProperties: []mqtt.UserProperty{{Name: "a", Value: "b"}}},
		} {
			_, err := client.SubscribeWith(t.Context(), o)
			var field *wire.FieldError
			require.ErrorAs(t, err, &field)
			require.True(t, mqtt.NotSent(err))
		}
		conn.WantIdle()
	})
}

func TestBadFiltersAreRefusedBeforeAnythingIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		for _, filter := range []string{"", "a/#/b", "a#", "a+", "\xff", "a\x00", long, "$share", "$share/g", "$share//a", "$share/+/a", "$share/g/"} {
			_, err := client.Subscribe(t.Context(), filter, 0)
			require.ErrorIs(t, err, mqtt.ErrInvalid, filter)
			require.True(t, mqtt.NotSent(err))
			require.Less(t, len(err.Error()), 300)
			err = client.Unsubscribe(t.Context(), filter)
			require.ErrorIs(t, err, mqtt.ErrInvalid, filter)
			require.True(t, mqtt.NotSent(err))
			_, err = client.Route(filter)
			require.ErrorIs(t, err, mqtt.ErrInvalid, filter)
		}
		for name, o := range map[string]mqtt.SubscribeOptions{
			"no filter":       {},
			"QoS":             {Filters: []mqtt.Filter{{Filter: "t", QoS: 3}}},
			"retain handling": {Filters: []mqtt.Filter{{Filter: "t", RetainHandling: 3}}},
			"shared no local": {Filters: []mqtt.Filter{{Filter: "$share/g/t", NoLocal: true}}},
			"twice":           {Filters: Filters("t", "t")},
			"buffer messages": {Filters: Filters("t"), BufferMessages: -1},
			"buffer bytes":    {Filters: Filters("t"), BufferBytes: -1},
			"overflow":        {Filters: Filters("t"), Overflow: 9},
			"user property":   {Filters: Filters("t"), UserProperties: []mqtt.UserProperty{{Name: "\xff"}}},
		} {
			_, err := client.SubscribeWith(t.Context(), o)
			require.ErrorIs(t, err, mqtt.ErrInvalid, name)
			require.True(t, mqtt.NotSent(err))
		}
		require.ErrorIs(t, client.Unsubscribe(t.Context()), mqtt.ErrInvalid)
		conn.WantIdle()
	})
}

func TestEndedContextSubscribesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := client.Subscribe(ctx, "t", 0)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, mqtt.NotSent(err))
		conn.WantIdle()
	})
}

func TestDurationsThatCanNotBeMeant(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  mqtt.Config
		says string
	}{
		"KeepAlive":        {mqtt.Config{KeepAlive: 60}, "KeepAlive: 60ns is less than a second; did you mean 60 * time.Second?"},
		"SessionExpiry":    {mqtt.Config{SessionExpiry: 3600}, "did you mean 3600 * time.Second?"},
		"half a second":    {mqtt.Config{KeepAlive: 500 * time.Millisecond}, "KeepAlive: 500ms is less than a second"},
		"will":             {mqtt.Config{Will: &mqtt.Will{Message: mqtt.Message{Topic: "t"}, DelayInterval: 5}}, "did you mean 5 * time.Second?"},
		"expiry of a will": {mqtt.Config{Will: &mqtt.Will{Message: mqtt.Message{Topic: "t", MessageExpiryInterval: new(time.Duration(9))}}}, "did you mean 9 * time.Second?"},
		"ConnectTimeout":   {mqtt.Config{ConnectTimeout: 15}, "ConnectTimeout: 15ns is less than a millisecond; did you mean 15 * time.Second?"},
		"milliseconds":     {mqtt.Config{WriteTimeout: 5000}, "did you mean 5000 * time.Millisecond?"},
		"PingTimeout":      {mqtt.Config{PingTimeout: 5}, "PingTimeout"},
		"HoldUnclaimedFor": {mqtt.Config{HoldUnclaimedFor: 5}, "HoldUnclaimedFor"},
		"StallAfter":       {mqtt.Config{StallAfter: 5}, "StallAfter"},
		"Reconnect.Max":    {mqtt.Config{Reconnect: reconnect.Policy{Max: 30}}, "Reconnect.Max"},
		"HealthyAfter":     {mqtt.Config{Reconnect: reconnect.Policy{HealthyAfter: 30}}, "Reconnect.HealthyAfter"},
	} {
		_, err := mqtt.Connect(t.Context(), "mqtt://server", test.cfg)
		require.ErrorIs(t, err, mqtt.ErrInvalid, name)
		require.ErrorContains(t, err, test.says, name)
	}
}

func TestDurationsOfRequestsThatCanNotBeMeant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		m := &mqtt.Message{Topic: "t", MessageExpiryInterval: new(time.Duration(300))}
		err := client.PublishMessage(t.Context(), m)
		require.ErrorContains(t, err, "300ns is less than a second; did you mean 300 * time.Second?")
		require.True(t, mqtt.NotSent(err))
		err = client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{SessionExpiry: new(time.Duration(60))})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.ErrorContains(t, err, "did you mean 60 * time.Second?")
		conn.WantIdle()
		require.NoError(t, client.Err())
	})
}

func TestAddressesThatAreNoURLs(t *testing.T) {
	for raw, says := range map[string]string{
		"localhost:1883":      "did you mean mqtt://localhost:1883?",
		"localhost":           "did you mean mqtt://localhost?",
		"10.0.0.1":            "did you mean mqtt://10.0.0.1?",
		"10.0.0.1:1883":       "did you mean mqtt://10.0.0.1:1883?",
		"broker.example:8883": "did you mean mqtts://broker.example:8883?",
		"::1":                 "did you mean mqtt://[::1]?",
		"[::1]:1883":          "did you mean mqtt://[::1]:1883?",
		"http://host":         "write ws://",
		"https://host":        "write wss://",
	} {
		_, err := mqtt.Connect(t.Context(), raw, mqtt.Config{})
		require.ErrorIs(t, err, mqtt.ErrInvalid, raw)
		require.ErrorContains(t, err, says)
		_, err = mqtt.Connect(t.Context(), "mqtt://good", mqtt.Config{Servers: []string{raw}})
		require.ErrorContains(t, err, says)
	}
	for _, raw := range []string{"user:secret", "user:12/secret@host", "secret", "s3cret!:1883", "secret@host:1883", ":1883"} {
		_, err := mqtt.Connect(t.Context(), raw, mqtt.Config{})
		require.ErrorIs(t, err, mqtt.ErrInvalid, raw)
		require.NotContains(t, err.Error(), "cret")
		require.NotContains(t, err.Error(), "did you mean")
	}
}
