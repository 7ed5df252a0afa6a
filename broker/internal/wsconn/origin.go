package wsconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
)

// A browser lets every web page open WebSockets to every host, and says in Origin where
// the page came from. Host can be wrong: if a foreign name leads to a loopback
// address (DNS rebinding), Origin and Host are the same. A request that arrives over
// loopback must therefore name this machine, or a configured name, in Host.

// Origins say which web pages may send requests.
type Origins struct {
	Patterns []string    // of hosts, as in path.Match
	TLS      *tls.Config // with our certificates; nil: none
}

var (
	errForeignPage = errors.New("web page of another host, see Config.Origins")
	errForeignHost = errors.New("request is for a name that may not be of this machine, see Config.Origins")
)

// Check returns nil if the request may reach the broker. Otherwise it returns why it
// may be that of a web page without the right to do so. Only web pages send an Origin;
// a program that forges Host could leave out Origin as well. local is the address that
// was reached.
func (o Origins) Check(r *http.Request, local net.Addr) error {
	origins := r.Header.Values("Origin")
	switch {
	case len(origins) > 1:
		return errForeignPage
	case len(origins) == 0 || origins[0] == "":
		return nil
	}
	page, err := url.Parse(origins[0])
	switch {
	case err != nil:
		return errForeignPage
	case o.permits(page.Scheme, page.Host):
		return nil
	case page.Host == "" || !sameHost(page, r.Host):
		return errForeignPage
	case !o.knowsHost(r, local):
		return errForeignHost
	}
	return nil
}

// permits reports whether one of the patterns matches the host.
func (o Origins) permits(scheme, host string) bool {
	return slices.ContainsFunc(o.Patterns, func(pattern string) bool {
		target := host
		if strings.Contains(pattern, "://") {
			target = scheme + "://" + host
		}
		ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(target))
		return ok && err == nil
	})
}

// knowsHost reports whether the Host of a request that has reached a loopback address
// can be a name of this machine. It accepts any Host on other addresses, because we
// do not know the names of these.
func (o Origins) knowsHost(r *http.Request, local net.Addr) bool {
	addr, ok := local.(*net.TCPAddr)
	if !ok || !addr.IP.IsLoopback() {
		return true
	}
	name := hostname(r.Host)
	return isLoopbackName(name) || o.permits("", r.Host) || o.permits("", name) ||
		r.TLS != nil && o.certifies(name)
}

// certifies reports whether one of our certificates is for the name. Then the name is
// ours: a browser does not let a page speak to us over TLS under another one.
func (o Origins) certifies(name string) bool {
	if o.TLS == nil {
		return false
	}
	for i := range o.TLS.Certificates {
		c := &o.TLS.Certificates[i]
		leaf := c.Leaf
		if leaf == nil && len(c.Certificate) > 0 {
			leaf, _ = x509.ParseCertificate(c.Certificate[0])
		}
		if leaf != nil && leaf.VerifyHostname(name) == nil {
			return true
		}
	}
	return false
}

// hostname returns host without its port, in lower case, and without the dot of the root.
func hostname(host string) string {
	name := (&url.URL{Host: host}).Hostname()
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// isLoopbackName reports whether a name always stands for this machine. (RFC 6761, 6.3)
func isLoopbackName(name string) bool {
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// sameHost reports whether page came from host. One of the two may spell out the
// default port, as proxies do.
func sameHost(page *url.URL, host string) bool {
	usual := map[string]string{"http": "80", "https": "443"}[page.Scheme]
	port := func(u *url.URL) string {
		if p := u.Port(); p != "" {
			return p
		}
		return usual
	}
	other := &url.URL{Host: host}
	return hostname(page.Host) == hostname(host) && port(page) == port(other)
}
