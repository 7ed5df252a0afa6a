package guides_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

func awsByCertificate(host string, certificate tls.Certificate) (string, mqtt.Config) {
	// <aws-certificate>
	server := "mqtts://" + host + ":443"
	cfg := mqtt.Config{
		ClientID: "thing-7",
		TLS: &tls.Config{
			Certificates: []tls.Certificate{certificate},
			NextProtos:   []string{"x-amzn-mqtt-ca"}, // port 443 only
		},
		SessionExpiry:       time.Hour,
		MaximumQoS:          new(mqtt.AtLeastOnce),
		FiltersPerSubscribe: 8,
		PublishRate:         mqtt.PublishRate{Messages: 95, Bytes: 500 << 10},
		SendTopicAliases:    8,
	}
	// </aws-certificate>
	return server, cfg
}

// awsLogin is what the developer guide says of CONNECT and CONNACK.
func awsLogin(_ *cloudConn, p *wire.Connect) *wire.Connack {
	if p.ClientID == "" || len(p.ClientID) > 128 {
		return &wire.Connack{ReasonCode: wire.ClientIdentifierNotValid}
	}
	return &wire.Connack{
		SessionExpiryInterval: new(min(p.SessionExpiryInterval, 3600)), MaximumQoS: new(wire.AtLeastOnce),
		ReceiveMaximum: 100, MaximumPacketSize: 128 << 10, TopicAliasMaximum: 8, SubscriptionIDAvailable: new(false),
	}
}

// awsRule is what the quotas forbid.
func awsRule(k *cloudConn, p wire.Packet) error {
	switch p := p.(type) {
	case *wire.Subscribe:
		if len(p.Filters) > 8 {
			return fmt.Errorf("%d filters in a SUBSCRIBE", len(p.Filters))
		}
		if len(k.filters)+len(p.Filters) > 50 {
			return errors.New("more than 50 subscriptions")
		}
		for _, f := range p.Filters {
			if f.QoS > 1 {
				return errors.New("a SUBSCRIBE with QoS 2, which is never answered")
			}
		}
	case *wire.Publish:
		if p.QoS > 1 {
			return errors.New("a PUBLISH with QoS 2, which is never answered")
		}
		return k.rate(100)
	}
	return nil
}

func TestAWSByCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const host = "abc123-ats.iot.eu-west-1.amazonaws.com"
		c := &cloud{rule: awsRule, login: func(k *cloudConn, p *wire.Connect) *wire.Connack {
			require.Equal(t, "x-amzn-mqtt-ca", k.state.NegotiatedProtocol)
			require.Equal(t, host, k.state.ServerName)
			return awsLogin(k, p)
		}}
		authority := c.start(t, host, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"x-amzn-mqtt-ca", "mqtt"}})
		certFile, keyFile := authority.issue(t, t.TempDir(), "client", "thing-7")
		server, cfg := awsByCertificate(host, rotatedCertificate(t, certFile, keyFile)[0])
		client, err := mqtt.Connect(t.Context(), server, c.reach(cfg, authority))
		require.NoError(t, err)
		defer client.Close()

		// More filters than a SUBSCRIBE takes, with a QoS that the server does not have.
		var filters []mqtt.Filter
		for i := range 20 {
			filters = append(filters, mqtt.Filter{Filter: fmt.Sprint("in/", i), QoS: mqtt.ExactlyOnce})
		}
		sub, err := client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{Filters: filters})
		require.NoError(t, err)
		require.Equal(t, mqtt.AtLeastOnce, mqtt.QoS(sub.Granted()[19]))

		begun := time.Now()
		for range 300 {
			_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "in/7", QoS: mqtt.AtLeastOnce})
			require.NoError(t, err)
		}
		require.NoError(t, client.Flush(t.Context()))
		require.Greater(t, time.Since(begun), 3*time.Second)
		require.Less(t, time.Since(begun), 4*time.Second)

		var limit *mqtt.LimitError
		require.ErrorAs(t, client.Publish(t.Context(), "t", nil, mqtt.ExactlyOnce), &limit)
		require.ErrorAs(t, client.Publish(t.Context(), "t", make([]byte, 128<<10), mqtt.AtMostOnce), &limit)
	})
}

// <aws-sign>
type awsKeys struct{ ID, Secret, Token string } // Token is that of temporary keys

// signedURL is the URL of a WebSocket to AWS IoT Core, signed with Signature Version 4.
func signedURL(host, region string, keys awsKeys, now time.Time) string {
	at := now.UTC().Format("20060102T150405Z")
	scope := at[:8] + "/" + region + "/iotdevicegateway/aws4_request"
	query := url.Values{
		"X-Amz-Algorithm":     {"AWS4-HMAC-SHA256"},
		"X-Amz-Credential":    {keys.ID + "/" + scope},
		"X-Amz-Date":          {at},
		"X-Amz-Expires":       {"300"}, // seconds in which the connection has to begin
		"X-Amz-SignedHeaders": {"host"},
	}.Encode()
	request := strings.Join([]string{"GET", "/mqtt", query, "host:" + host + "\n", "host", digest("")}, "\n")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", at, scope, digest(request)}, "\n")
	key := []byte("AWS4" + keys.Secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	query += "&X-Amz-Signature=" + hex.EncodeToString(mac(key, text))
	if keys.Token != "" { // it is no part of what is signed
		query += "&X-Amz-Security-Token=" + url.QueryEscape(keys.Token)
	}
	return "wss://" + host + "/mqtt?" + query
}

func digest(text string) string {
	d := sha256.Sum256([]byte(text))
	return hex.EncodeToString(d[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// </aws-sign>

func awsBySignature(host, region string, keys func(context.Context) (awsKeys, error)) (string, mqtt.Config) {
	// <aws-signature>
	server := "wss://" + host + "/mqtt"
	cfg := mqtt.Config{
		ClientID: "service-7",
		Attempt: func(ctx context.Context, a *mqtt.Attempt) error {
			k, err := keys(ctx)
			if err != nil {
				return err
			}
			a.Server = signedURL(host, region, k, time.Now())
			return nil
		},
		MaximumConnectionAge: 23 * time.Hour, // the service ends a WebSocket after 24
		MaximumQoS:           new(mqtt.AtLeastOnce),
		FiltersPerSubscribe:  8,
		PublishRate:          mqtt.PublishRate{Messages: 95, Bytes: 500 << 10},
	}
	// </aws-signature>
	return server, cfg
}

// The expected URL was made with botocore 1.29.27, SigV4QueryAuth.
func TestSignature(t *testing.T) {
	keys := awsKeys{ID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	at := time.Date(2026, 11, 29, 12, 30, 45, 0, time.UTC)
	const want = "wss://abc123-ats.iot.eu-west-1.amazonaws.com/mqtt?X-Amz-Algorithm=AWS4-HMAC-SHA256" +
		"&X-Amz-Credential=AKIDEXAMPLE%2F20261129%2Feu-west-1%2Fiotdevicegateway%2Faws4_request&X-Amz-Date=20261129T123045Z" +
		"&X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Signature=97e9fe2b1d0769a01a51589b29eca2749a9af21f4d9c171c5a042c8246b64947"
	require.Equal(t, want, signedURL("abc123-ats.iot.eu-west-1.amazonaws.com", "eu-west-1", keys, at))
	keys.Token = "a/b+c"
	require.Equal(t, want+"&X-Amz-Security-Token=a%2Fb%2Bc", signedURL("abc123-ats.iot.eu-west-1.amazonaws.com", "eu-west-1", keys, at))
}

func TestAWSBySignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const host = "abc123-ats.iot.eu-west-1.amazonaws.com"
		var asked atomic.Int32 // the client and the server run on goroutines of their own
		keys := func(context.Context) (awsKeys, error) {
			n := asked.Add(1)
			return awsKeys{ID: fmt.Sprint("KEY", n), Secret: "s", Token: fmt.Sprint("token ", n)}, nil
		}
		c := &cloud{rule: awsRule, login: awsLogin}
		c.upgrade = func(r *http.Request) error { // with the keys that were asked for last
			n := asked.Load()
			k := awsKeys{ID: fmt.Sprint("KEY", n), Secret: "s", Token: fmt.Sprint("token ", n)}
			if got, want := "wss://"+r.Host+r.URL.RequestURI(), signedURL(host, "eu-west-1", k, time.Now()); got != want {
				return fmt.Errorf("signature of %s", got)
			}
			return nil
		}
		authority := c.start(t, host, nil)
		server, cfg := awsBySignature(host, "eu-west-1", keys)
		client, err := mqtt.Connect(t.Context(), server, c.reach(cfg, authority))
		require.NoError(t, err)
		defer client.Close()
		time.Sleep(24 * time.Hour)
		require.EqualValues(t, 2, asked.Load(), "a day has more than one connection")
		require.NoError(t, client.Publish(t.Context(), "t", nil, mqtt.AtLeastOnce))
	})
}

func eventGridByCertificate(host string, certificate tls.Certificate) (string, mqtt.Config) {
	// <azure-certificate>
	server := "mqtts://" + host + ":8883"
	cfg := mqtt.Config{
		ClientID: "meter-12-session-1", // the session name; the same on every connection
		Username: "meter-12",           // the authentication name
		TLS:      &tls.Config{Certificates: []tls.Certificate{certificate}},

		SessionExpiry:    time.Hour,
		MaximumQoS:       new(mqtt.AtLeastOnce),
		SendTopicAliases: 10,
	}
	// </azure-certificate>
	return server, cfg
}

// eventGridLogin and eventGridRule are the list of limitations.
func eventGridLogin(k *cloudConn, p *wire.Connect) *wire.Connack {
	method := p.AuthenticationMethod
	byToken := method == "OAUTH2-JWT" && strings.HasPrefix(string(p.AuthenticationData), "token ")
	byName := p.Username != nil && len(k.state.VerifiedChains) > 0 && k.state.VerifiedChains[0][0].Subject.CommonName == *p.Username
	switch {
	case p.ClientID == "":
		return &wire.Connack{ReasonCode: wire.ClientIdentifierNotValid}
	case !byToken && !byName, len(p.UserProperties) > 0:
		return &wire.Connack{ReasonCode: wire.NotAuthorized}
	}
	return &wire.Connack{
		AuthenticationMethod: method, ServerKeepAlive: new(min(p.KeepAlive, 1160)),
		SessionExpiryInterval: new(min(p.SessionExpiryInterval, 3600)), MaximumQoS: new(wire.AtLeastOnce), RetainAvailable: new(false),
		MaximumPacketSize: 512 << 10, TopicAliasMaximum: 10, SubscriptionIDAvailable: new(false), SharedSubscriptionAvailable: new(false),
	}
}

func eventGridRule(_ *cloudConn, p wire.Packet) error {
	switch p := p.(type) {
	case *wire.Publish:
		if p.QoS > 1 || p.Retain {
			return errors.New("QoS 2 or retain")
		}
	case *wire.Subscribe:
		if len(p.UserProperties) > 0 || p.SubscriptionID != 0 {
			return errors.New("user properties or an identifier in SUBSCRIBE")
		}
	case *wire.Puback:
		if p.ReasonCode.Failed() || len(p.UserProperties) > 0 {
			return errors.New("a PUBACK with a refusal or user properties")
		}
	}
	return nil
}

func TestEventGridByCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const host = "ns1.westeurope-1.ts.eventgrid.azure.net"
		c := &cloud{login: eventGridLogin, rule: eventGridRule}
		authority := c.start(t, host, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert})
		certFile, keyFile := authority.issue(t, t.TempDir(), "client", "meter-12")
		server, cfg := eventGridByCertificate(host, rotatedCertificate(t, certFile, keyFile)[0])
		client, err := mqtt.Connect(t.Context(), server, c.reach(cfg, authority))
		require.NoError(t, err)
		defer client.Close()
		sub, err := client.Subscribe(t.Context(), "commands/#", mqtt.ExactlyOnce)
		require.NoError(t, err)
		for range 3 { // so that an alias is used
			require.NoError(t, client.Publish(t.Context(), "commands/1", []byte("on"), mqtt.AtLeastOnce))
			m, err := sub.Next(t.Context())
			require.NoError(t, err)
			require.Equal(t, "commands/1", m.Topic)
		}
		var limit *mqtt.LimitError
		require.ErrorAs(t, client.Publish(t.Context(), "t", nil, mqtt.ExactlyOnce), &limit)
		require.ErrorAs(t, client.PublishMessage(t.Context(), &mqtt.Message{Topic: "t", Retain: true}), &limit)
		_, err = client.Subscribe(t.Context(), "$share/g/t", mqtt.AtLeastOnce)
		require.ErrorAs(t, err, &limit)

		// Another name than that of the certificate is refused, for good.
		cfg.Username = "meter-13"
		_, err = mqtt.Connect(t.Context(), server, c.reach(cfg, authority))
		require.ErrorIs(t, err, mqtt.NotAuthorized)
	})
}

// <azure-token>
// entra authenticates with tokens of Microsoft Entra ID.
type entra struct {
	token func(context.Context) (string, error)
}

func (entra) Method() string { return "OAUTH2-JWT" }

func (e entra) Start(ctx context.Context) (mqtt.AuthExchange, []byte, error) {
	token, err := e.token(ctx)
	return e, []byte(token), err
}

func (entra) Continue(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("the server has asked a question")
}

func (entra) Finish(context.Context, []byte) error { return nil }

// renewTokens gives the server a new token every now and then. Where that fails, the
// client connects again, with a new token as well.
func renewTokens(ctx context.Context, client *mqtt.Client, every time.Duration) {
	for tick := time.Tick(every); ; {
		select {
		case <-tick:
			_ = client.Reauthenticate(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// </azure-token>

func TestEventGridByToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const host = "ns1.westeurope-1.ts.eventgrid.azure.net"
		c := &cloud{login: eventGridLogin, rule: eventGridRule}
		authority := c.start(t, host, nil)
		asked := 0
		cfg := mqtt.Config{ClientID: "service-1", Authenticator: entra{func(context.Context) (string, error) {
			asked++
			return fmt.Sprint("token ", asked), nil
		}}}
		client, err := mqtt.Connect(t.Context(), "mqtts://"+host, c.reach(cfg, authority))
		require.NoError(t, err)
		defer client.Close()
		ctx, stop := context.WithCancel(t.Context())
		go renewTokens(ctx, client, 50*time.Minute)
		time.Sleep(2 * time.Hour)
		stop()
		c.mu.Lock()
		defer c.mu.Unlock()
		require.Len(t, c.connects, 1, "the connection lasts")
		for k := range c.conns {
			require.Len(t, k.auths, 2)
			require.Equal(t, "token 3", string(k.auths[1].AuthenticationData))
			require.Equal(t, wire.Reauthenticate, k.auths[1].ReasonCode)
		}
	})
}

func hiveMQ(host, username string, password func() (mqtt.Secret, error)) (string, mqtt.Config) {
	// <hivemq>
	created := time.Now()
	server := "mqtts://" + host + ":8883"
	cfg := mqtt.Config{
		ClientID: "meter-12",
		Attempt: func(_ context.Context, a *mqtt.Attempt) (err error) {
			a.Username = username
			a.Password, err = password()
			return err
		},
		RetryFirst: true,
		// A new credential takes up to a minute to become known.
		Permanent: func(err error) bool { return mqtt.IsPermanent(err) && time.Since(created) > time.Minute },
	}
	// </hivemq>
	return server, cfg
}

func TestHiveMQ(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const host = "abc123.s1.eu.hivemq.cloud"
		begun := time.Now()
		c := &cloud{rule: func(*cloudConn, wire.Packet) error { return nil }}
		c.login = func(_ *cloudConn, p *wire.Connect) *wire.Connack {
			if time.Since(begun) < 40*time.Second || *p.Username != "meter" || string(p.Password) != "secret" {
				return &wire.Connack{ReasonCode: wire.NotAuthorized}
			}
			return &wire.Connack{}
		}
		authority := c.start(t, host, nil)
		server, cfg := hiveMQ(host, "meter", func() (mqtt.Secret, error) { return "secret", nil })
		client, err := mqtt.Connect(t.Context(), server, c.reach(cfg, authority))
		require.NoError(t, err)
		require.NoError(t, client.Close())
		server, cfg = hiveMQ(host, "meter", func() (mqtt.Secret, error) { return "wrong", nil })
		_, err = mqtt.Connect(t.Context(), server, c.reach(cfg, authority))
		require.ErrorIs(t, err, mqtt.NotAuthorized)
	})
}

func emqx(host string, username string, password mqtt.Secret) (string, mqtt.Config) {
	// <emqx>
	server := "mqtts://" + host + ":8883" // or "wss://" + host + ":8084/mqtt"
	cfg := mqtt.Config{
		ClientID:    "meter-12",
		Username:    username,
		Password:    password,
		PublishRate: mqtt.PublishRate{Messages: 9},
	}
	// </emqx>
	return server, cfg
}

func TestEMQXServerless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const host = "abc123.ala.eu-central-1.emqxsl.com"
		c := &cloud{}
		c.login = func(_ *cloudConn, p *wire.Connect) *wire.Connack {
			if p.Username == nil || string(p.Password) != "secret" {
				return &wire.Connack{ReasonCode: wire.NotAuthorized}
			}
			return &wire.Connack{MaximumPacketSize: 1 << 20}
		}
		c.rule = func(k *cloudConn, p wire.Packet) error {
			switch p := p.(type) {
			case *wire.Publish:
				return k.rate(10)
			case *wire.Subscribe:
				if len(k.filters)+len(p.Filters) > 10 {
					return errors.New("more than 10 subscriptions")
				}
				for _, f := range p.Filters {
					if strings.Count(f.Filter, "/") >= 10 {
						return errors.New("more than 10 levels")
					}
				}
			}
			return nil
		}
		authority := c.start(t, host, nil)
		server, cfg := emqx(host, "meter", "secret")
		client, err := mqtt.Connect(t.Context(), server, c.reach(cfg, authority))
		require.NoError(t, err)
		defer client.Close()

		// <emqx-mux>
		var handlers []mqtt.MuxHandler
		for _, kind := range []string{"temperature", "humidity", "pressure", "door", "alarm", "battery", "gps", "log", "config", "state", "ota"} {
			handlers = append(handlers, mqtt.MuxHandler{Pattern: "devices/{id}/" + kind, Handle: handle(kind)})
		}
		mux, err := mqtt.NewMux(handlers...)
		if err != nil {
			return
		}
		// One subscription at the server, whatever the number of patterns.
		o := mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "devices/+/+", QoS: mqtt.AtLeastOnce}}}
		// </emqx-mux>
		ctx, stop := context.WithCancel(t.Context())
		handled := make(chan error, 1)
		subscribed := make(chan struct{})
		o.Subscribed = func(*mqtt.Subscription) { close(subscribed) }
		go func() { handled <- client.Handle(ctx, o, mux.Handle) }()
		<-subscribed
		for range 30 {
			_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "devices/1/door", QoS: mqtt.AtLeastOnce})
			require.NoError(t, err)
		}
		require.NoError(t, client.Flush(t.Context()))
		stop()
		require.ErrorIs(t, <-handled, context.Canceled)
		c.mu.Lock()
		defer c.mu.Unlock()
		require.Equal(t, 30, c.took)
	})
}

func handle(string) func(context.Context, *mqtt.Message) error {
	return func(context.Context, *mqtt.Message) error { return nil }
}
