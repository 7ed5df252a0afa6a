package mqtt

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// endpoint is one place to dial.
type endpoint struct {
	network, address string
	host             string   // to check the certificate against
	proxy            *url.URL // nil: none
}

// maxRecords bounds how many SRV records are used.
const maxRecords = 16

// endpoints returns where s can be reached, in the order to try.
func (c *Config) endpoints(ctx context.Context, s server) ([]endpoint, error) {
	if !s.srv {
		return c.viaProxy(s, []endpoint{{network: s.network(), address: s.address, host: s.host}})
	}
	service := "mqtt"
	if s.tls {
		service = "secure-mqtt"
	}
	_, records, err := c.network.LookupSRV(ctx, service, "tcp", s.host)
	if err != nil {
		return nil, err
	}
	var found []endpoint
	for _, r := range orderRecords(records, rand.IntN) {
		target := strings.TrimSuffix(r.Target, ".")
		if target == "" || r.Port == 0 {
			continue // a dot says that the service is not offered
		}
		// The certificate has to be for the domain: the target comes from DNS,
		// where anyone could have put it.
		found = append(found, endpoint{"tcp", net.JoinHostPort(target, strconv.Itoa(int(r.Port))), s.host, nil})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("_%s._tcp.%s offers no server", service, s.host)
	}
	return c.viaProxy(s, found[:min(len(found), maxRecords)])
}

// orderRecords sorts by priority, and within one draws by weight (RFC 2782).
func orderRecords(records []*net.SRV, random func(n int) int) []*net.SRV {
	ordered := slices.Clone(records)
	slices.SortStableFunc(ordered, func(a, b *net.SRV) int {
		// Those without weight first: they are drawn seldom, but not never.
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Weight, b.Weight))
	})
	for i := range ordered {
		equals := ordered[i:]
		sum, n := 0, 0
		for n < len(equals) && equals[n].Priority == equals[0].Priority {
			sum += int(equals[n].Weight)
			n++
		}
		draw := random(sum + 1)
		for j := range n {
			if draw -= int(equals[j].Weight); draw <= 0 {
				// The others keep their order, in which weight 0 comes first.
				drawn := equals[j]
				copy(equals[1:j+1], equals[:j])
				equals[0] = drawn
				break
			}
		}
	}
	return ordered
}

// viaProxy gives each endpoint the proxy that leads to it.
func (c *Config) viaProxy(s server, found []endpoint) ([]endpoint, error) {
	if c.proxyFor == nil || s.unix {
		return found, nil
	}
	for i := range found {
		var err error
		found[i].proxy, err = c.proxyFor(&url.URL{Scheme: httpScheme(s), Host: zoneless(found[i].address)})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func httpScheme(s server) string {
	if s.tls {
		return "https"
	}
	return "http"
}
