package brokers

import (
	"errors"
	"net/url"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/reconnect"
)

const faultBoth = faultproxy.Both

// quick reconnects without waiting long.
var quick = reconnect.Policy{Min: 1e6, Max: 1e8}

// line returns a network that can be broken in front of the server. A server whose URL
// is not one of plain TCP has none, which ends the probe.
func (p *probe) line() *faultproxy.Proxy {
	p.Helper()
	server, err := url.Parse(p.url)
	require.NoError(p, err)
	if server.Scheme != "mqtt" && server.Scheme != "tcp" {
		p.give("not tried: needs an mqtt URL")
	}
	host := server.Host
	if server.Port() == "" {
		host += ":1883"
	}
	return faultproxy.New(p, host)
}

// lost returns when a client has noticed the end of its connection.
func (p *probe) lost(events <-chan mqtt.Event) {
	p.Helper()
	for {
		select {
		case e := <-events:
			if e.Err != nil {
				return
			}
		case <-p.ctx.Done():
			p.Fatal("the client does not notice")
		}
	}
}

// isReason says whether the server gave this reason.
func isReason(err error, code mqtt.ReasonCode) bool { return errors.Is(err, code) }
