package brokers

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/interop/brokers/servers"
)

const (
	// patience bounds a wait for what has to come.
	patience = 30 * time.Second
	// impatience bounds it where a departure is declared, so that it will hardly come.
	impatience = 4 * time.Second
	// limit bounds a whole probe.
	limit = 4 * time.Minute
)

// probe is one try of a behaviour. Its test fails only for what the client does wrong.
type probe struct {
	*testing.T
	ctx     context.Context // ends at the limit
	version mqtt.Version
	url     string
	tls     *tls.Config // nil: none
	user    string
	secret  string
	// patience bounds each wait.
	patience time.Duration
	// server is nil with -server.
	server *servers.Server
}

// run and names make topics and client identifiers that no other run has.
var (
	run   = fmt.Sprintf("%06x", rand.Uint32()>>8)
	names atomic.Int64
)

// name returns a new client identifier, which is short enough for 3.1.
func (p *probe) name() string { return fmt.Sprintf("c%s-%d", run, names.Add(1)) }

// topic returns a new topic, whose first level is that of the suite.
func (p *probe) topic() string { return fmt.Sprintf("suite/%s/%d", run, names.Add(1)) }

// ended is the verdict of a probe that a helper has ended.
type ended struct{ verdict verdict }

// give ends the probe with a verdict.
func (p *probe) give(v verdict) { panic(ended{v}) }

// must ends the probe with the verdict if there is an error, which the log has.
func (p *probe) must(err error, otherwise verdict) {
	p.Helper()
	if err != nil {
		p.Log(otherwise+":", err)
		p.give(otherwise)
	}
}

// config completes a configuration with what all clients of the probe have.
func (p *probe) config(cfg mqtt.Config) mqtt.Config {
	if cfg.Version == mqtt.Auto {
		cfg.Version = p.version
	}
	cfg.ClientID = cmp.Or(cfg.ClientID, p.name())
	if cfg.TLS == nil {
		cfg.TLS = p.tls
	}
	if cfg.Username == "" {
		cfg.Username, cfg.Password = p.user, mqtt.Secret(p.secret)
	}
	return cfg
}

// try connects to a URL, by default that of the server.
func (p *probe) try(cfg mqtt.Config, url ...string) (*mqtt.Client, error) {
	ctx, cancel := context.WithTimeout(p.ctx, p.patience)
	defer cancel()
	client, err := mqtt.Connect(ctx, append(url, p.url)[0], p.config(cfg))
	if err == nil {
		p.Cleanup(func() { client.Close() })
	}
	return client, err
}

// connect is try for a client that has to get in.
func (p *probe) connect(cfg mqtt.Config, url ...string) *mqtt.Client {
	p.Helper()
	client, err := p.try(cfg, url...)
	p.must(err, "cannot connect")
	return client
}

// subscribe subscribes to one filter.
func (p *probe) subscribe(c *mqtt.Client, filter string, qos mqtt.QoS) *mqtt.Subscription {
	p.Helper()
	return p.subscribeWith(c, mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: filter, QoS: qos}}})
}

func (p *probe) subscribeWith(c *mqtt.Client, o mqtt.SubscribeOptions) *mqtt.Subscription {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, p.patience)
	defer cancel()
	sub, err := c.SubscribeWith(ctx, o)
	p.must(err, "refuses the subscription")
	return sub
}

// publish publishes a message that has to be accepted.
func (p *probe) publish(c *mqtt.Client, m *mqtt.Message) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, p.patience)
	defer cancel()
	p.must(c.PublishMessage(ctx, m), "refuses the message")
}

// next returns the next message of a subscription, which has to come.
func (p *probe) next(sub *mqtt.Subscription) *mqtt.Message {
	p.Helper()
	return p.nextOr(sub, "a message is lost")
}

// nextOr is next with the verdict on a server that does not send it.
func (p *probe) nextOr(sub *mqtt.Subscription, lost verdict) *mqtt.Message {
	p.Helper()
	m, err := p.await(sub)
	p.must(err, lost)
	return m
}

// await waits for the next message of a subscription.
func (p *probe) await(sub *mqtt.Subscription) (*mqtt.Message, error) {
	ctx, cancel := context.WithTimeout(p.ctx, p.patience)
	defer cancel()
	return sub.Next(ctx)
}

// some returns the payloads of the next messages.
func (p *probe) some(sub *mqtt.Subscription, n int, lost verdict) (payloads []string) {
	p.Helper()
	for range n {
		payloads = append(payloads, string(p.nextOr(sub, lost).Payload))
	}
	return payloads
}

// alive returns when the client is connected and the server has answered it.
func (p *probe) alive(c *mqtt.Client) {
	p.Helper()
	for {
		p.must(c.WaitConnected(p.ctx), "does not take the client back")
		if _, err := c.Ping(p.ctx); err == nil {
			return
		}
	}
}

// until returns the payloads of the messages up to one whose payload is last, which the
// probe has published behind all others.
func (p *probe) until(sub *mqtt.Subscription, last string) (payloads []string) {
	p.Helper()
	for {
		m := p.next(sub)
		if string(m.Payload) == last {
			return payloads
		}
		payloads = append(payloads, string(m.Payload))
	}
}

// fate runs the probe and returns its verdict.
func (b *behaviour) fate(p *probe) (v verdict) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	p.ctx = ctx
	defer func() {
		switch end := recover().(type) {
		case nil:
		case ended:
			v = end.verdict
		default:
			panic(end)
		}
	}()
	return b.probe(p)
}

// reasonOf returns what the server said in an error, in words for a verdict.
func reasonOf(err error) verdict {
	if code, ok := errors.AsType[mqtt.ReasonCode](err); ok {
		text, _, _ := strings.Cut(code.Error(), " (")
		return verdict(text)
	}
	return "hangs up"
}
