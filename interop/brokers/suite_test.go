package brokers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/interop/brokers/servers"
)

func TestBrokers(t *testing.T) {
	if *serverURL != "" {
		return // TestServer is asked for
	}
	for _, kind := range servers.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			started := fleet{}
			for _, b := range behaviours {
				if slices.Contains(b.slow, kind.Name) && !*long {
					continue
				}
				for _, v := range b.triedOn(kind) {
					s := started.get(t, kind, b.on)
					t.Run(b.name+"/"+v.String(), func(t *testing.T) { compare(t, b, s, v) })
				}
			}
		})
	}
}

// fleet are the servers of one broker.
type fleet map[setup]*servers.Server

// get starts a server with its first use.
func (f fleet) get(t *testing.T, kind servers.Kind, on setup) *servers.Server {
	if f[on] == nil {
		f[on] = kind.Start(t, setups[on])
	}
	return f[on]
}

// tries is how often a broker that is not ours may give a verdict that is not declared: it
// has races of its own, and a rare one says nothing about the client.
const tries = 3

// compare runs a probe and compares its verdict with what is declared. What contradicts the
// client's promises fails the test at once.
func compare(t *testing.T, b *behaviour, s *servers.Server, v mqtt.Version) {
	declared, wait := []verdict{yes}, patience
	if d := b.departureOf(s.Kind().Name, v); d != nil {
		declared, wait = append([]verdict{d.verdict}, d.or...), cmp.Or(d.patience, impatience)
	}
	most := tries
	if s.Kind().Name == "ours" {
		most = 1
	}
	for i := range most {
		var got verdict
		t.Run(fmt.Sprint("try ", i+1), func(t *testing.T) { // its clients end with it
			p := newProbe(t, b, s, v)
			p.patience = wait
			got = b.fate(p)
		})
		if t.Failed() || slices.Contains(declared, got) {
			return
		}
		t.Logf("the verdict is %q, and %q is declared", got, declared)
	}
	t.Error("no try had a verdict that is declared")
}

func newProbe(t *testing.T, b *behaviour, s *servers.Server, v mqtt.Version) *probe {
	p := &probe{T: t, version: v, url: s.URL(), server: s, patience: patience}
	if b.on == guarded {
		p.url, p.tls, p.user, p.secret = s.TLSURL(), s.ClientTLS(), user, secret
	}
	return p
}

// TestServer probes the broker of -server and prints a table. It fails only for what the
// client does wrong.
func TestServer(t *testing.T) {
	if *serverURL == "" {
		return // TestBrokers is asked for
	}
	var table strings.Builder
	table.WriteString("| behaviour | 5.0 | 3.1.1 | 3.1 |\n|---|---|---|---|\n")
	for _, b := range behaviours {
		if b.on != open || b.ends {
			continue // the broker is not ours to configure or to end
		}
		table.WriteString("| " + b.name)
		for _, v := range all {
			cell := verdict("")
			if b.versions == nil || slices.Contains(b.versions, v) {
				t.Run(b.name+"/"+v.String(), func(t *testing.T) {
					cell = b.fate(&probe{T: t, version: v, url: *serverURL, user: *username, secret: *password, patience: patience})
				})
			}
			table.WriteString(" | " + string(cell))
		}
		table.WriteString(" |\n")
	}
	fmt.Print(table.String())
}

// TestDeclarationsMakeSense finds those that no probe is ever compared with.
func TestDeclarationsMakeSense(t *testing.T) {
	kinds := map[string]servers.Kind{}
	for _, k := range servers.Kinds() {
		kinds[k.Name] = k
	}
	for _, b := range behaviours {
		for _, d := range b.departures {
			kind, known := kinds[d.broker]
			switch {
			case !known:
				t.Errorf("%s: there is no broker %s", b.name, d.broker)
			case d.verdict == yes || d.why == "":
				t.Errorf("%s: %s needs a verdict and a reason", b.name, d.broker)
			case len(b.triedOn(kind)) == 0:
				t.Errorf("%s: %s is not tried", b.name, d.broker)
			}
			for _, v := range d.versions {
				if !slices.Contains(b.triedOn(kind), v) {
					t.Errorf("%s: %s is not tried on %v", b.name, d.broker, v)
				}
			}
		}
	}
}
