package transport

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

// Endpoint is one place to dial.
type Endpoint struct {
	Address string // host:port, or the path of a socket
	Host    string // to check the certificate against
	network string
	proxy   *url.URL // nil: none
}

// maxRecords bounds how many SRV records are used.
const maxRecords = 16

// Endpoints returns where s can be reached, in the order to try.
func (d *Dialer) Endpoints(ctx context.Context, s Server) ([]Endpoint, error) {
	if !s.SRV {
		return d.viaProxy(s, []Endpoint{{network: s.network(), Address: s.Address, Host: s.Host}})
	}
	service := "mqtt"
	if s.TLS {
		service = "secure-mqtt"
	}
	_, records, err := d.network.LookupSRV(ctx, service, "tcp", s.Host)
	if err != nil {
		return nil, err
	}
	var found []Endpoint
	for _, r := range orderRecords(records, rand.IntN) {
		target := strings.TrimSuffix(r.Target, ".")
		if target == "" || r.Port == 0 {
			continue // a dot says that the service is not offered
		}
		// The certificate has to be for the domain: the target comes from DNS,
		// where anyone could have put it.
		found = append(found, Endpoint{network: "tcp", Address: net.JoinHostPort(target, strconv.Itoa(int(r.Port))), Host: s.Host})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("_%s._tcp.%s offers no server", service, s.Host)
	}
	return d.viaProxy(s, found[:min(len(found), maxRecords)])
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
func (d *Dialer) viaProxy(s Server, found []Endpoint) ([]Endpoint, error) {
	if d.proxyFor == nil || s.Unix {
		return found, nil
	}
	for i := range found {
		var err error
		found[i].proxy, err = d.proxyFor(&url.URL{Scheme: httpScheme(s), Host: zoneless(found[i].Address)})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func httpScheme(s Server) string {
	if s.TLS {
		return "https"
	}
	return "http"
}
