package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

var errUnreachable = errors.New("unreachable")

// world is a network with names and servers in memory. It notes what is dialled.
type world struct {
	mu      sync.Mutex
	hosts   map[string][]string
	records map[string][]*net.SRV
	servers map[string]*mqtttest.Server // by address; nil: never answers
	dialled []string
}

func (w *world) LookupNetIP(_ context.Context, _, host string) (found []netip.Addr, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.hosts[host] {
		found = append(found, netip.MustParseAddr(a))
	}
	if found == nil {
		err = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return found, err
}

func (w *world) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	key := "_" + service + "._" + proto + "." + name
	records, ok := w.records[key]
	if !ok {
		return "", nil, &net.DNSError{Err: "no such host", Name: key, IsNotFound: true}
	}
	return key, records, nil
}

func (w *world) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dialled = append(w.dialled, address)
	srv, ok := w.servers[address]
	w.mu.Unlock()
	switch {
	case !ok:
		return nil, fmt.Errorf("%s %w", address, errUnreachable)
	case srv == nil:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return srv.Dial(ctx, network, address)
}

// took returns what was dialled since it was last called.
func (w *world) took() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.dialled = nil }()
	return w.dialled
}

func (w *world) config() mqtt.Config {
	cfg := mqtt.Config{ClientID: "c1", Version: mqtt.V5, KeepAlive: -1}
	mqtt.SetNetwork(&cfg, w)
	return cfg
}

// connect begins Connect to url.
func connect(t *testing.T, url string, cfg mqtt.Config) *dialing {
	d := new(dialing)
	d.call = begin(func() (err error) {
		d.result, err = mqtt.Connect(t.Context(), url, cfg)
		return err
	})
	return d
}

func TestServersAreTriedInOrderWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		w := &world{servers: map[string]*mqtttest.Server{"10.0.0.3:1883": srv}}
		cfg := w.config()
		cfg.Servers = []string{"mqtt://10.0.0.2", "mqtt://10.0.0.3", "mqtt://10.0.0.4"}
		begun := time.Now()
		d := connect(t, "mqtt://10.0.0.1", cfg)
		srv.Connected(&wire.Connack{})
		d.client(t)
		require.Equal(t, []string{"10.0.0.1:1883", "10.0.0.2:1883", "10.0.0.3:1883"}, w.took())
		require.Zero(t, time.Since(begun))
	})
}

func TestFailureOfARoundTellsAllServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		cfg := w.config()
		cfg.Servers = []string{"mqtt://b:7"}
		err := connect(t, "mqtt://10.0.0.1", cfg).call.wait()
		require.EqualError(t, err, "mqtt: connect: 10.0.0.1:1883: 10.0.0.1:1883 unreachable; b:7: lookup b: no such host")
		require.ErrorIs(t, err, errUnreachable)
		var dns *net.DNSError
		require.ErrorAs(t, err, &dns)
	})
}

func TestBusyServerSendsUsToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := mqtttest.NewServer(t, wire.V5), mqtttest.NewServer(t, wire.V5)
		w := &world{servers: map[string]*mqtttest.Server{"10.0.0.1:1883": a, "10.0.0.2:1883": b}}
		cfg := w.config()
		cfg.Servers = []string{"mqtt://10.0.0.2"}
		d := connect(t, "mqtt://10.0.0.1", cfg)
		a.Connected(&wire.Connack{ReasonCode: wire.ServerBusy})
		b.Connected(&wire.Connack{})
		d.client(t)
	})
}

func TestPermanentRefusalByAnyServerEndsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := mqtttest.NewServer(t, wire.V5), mqtttest.NewServer(t, wire.V5)
		w := &world{servers: map[string]*mqtttest.Server{"10.0.0.1:1883": a, "10.0.0.2:1883": b}}
		cfg := w.config()
		cfg.RetryFirst = true
		cfg.Servers = []string{"mqtt://10.0.0.2", "mqtt://10.0.0.3"}
		d := connect(t, "mqtt://10.0.0.1", cfg)
		a.Connected(&wire.Connack{ReasonCode: wire.ServerBusy})
		b.Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
		err := d.call.wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.True(t, mqtt.IsPermanent(err))
		require.Equal(t, []string{"10.0.0.1:1883", "10.0.0.2:1883"}, w.took())
	})
}

func TestServerOrder(t *testing.T) {
	const short, healthy = time.Second, time.Minute
	for name, test := range map[string]struct {
		order mqtt.ServerOrder
		up    time.Duration
		next  string // what is tried first after a connection to the second of three
	}{
		"stays":                  {mqtt.StayWithServer, healthy, "2"},
		"leaves one that drops":  {mqtt.StayWithServer, short, "3"},
		"returns to the first":   {mqtt.FirstServerFirst, healthy, "1"},
		"the first after a drop": {mqtt.FirstServerFirst, short, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				w := &world{servers: map[string]*mqtttest.Server{"10.0.0.2:1883": srv}}
				cfg := w.config()
				cfg.ServerOrder = test.order
				cfg.Servers = []string{"mqtt://10.0.0.2", "mqtt://10.0.0.3"}
				d := connect(t, "mqtt://10.0.0.1", cfg)
				conn := srv.Connected(&wire.Connack{})
				d.client(t)
				<-time.After(test.up)
				w.took()
				conn.Close()
				srv.Accept()
				require.Equal(t, "10.0.0."+test.next+":1883", w.took()[0])
			})
		})
	}
}

func TestServerThatAcceptsAndDropsComesLastEvenIfItIsTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := mqtttest.NewServer(t, wire.V5), mqtttest.NewServer(t, wire.V5)
		w := &world{servers: map[string]*mqtttest.Server{"10.0.0.1:1883": a, "10.0.0.2:1883": b}}
		cfg := w.config()
		cfg.ServerOrder = mqtt.FirstServerFirst
		cfg.Servers = []string{"mqtt://10.0.0.2"}
		d := connect(t, "mqtt://10.0.0.1", cfg)
		conn := a.Connected(&wire.Connack{})
		d.client(t)
		conn.Close()
		b.Connected(&wire.Connack{})
	})
}

func TestRandomOrderSpreadsOverTheServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		cfg := w.config()
		cfg.RetryFirst, cfg.ServerOrder = true, mqtt.RandomServer
		cfg.Reconnect = reconnect.Policy{MaxAttempts: 300}
		cfg.Servers = []string{"mqtt://10.0.0.2", "mqtt://10.0.0.3"}
		require.ErrorIs(t, connect(t, "mqtt://10.0.0.1", cfg).call.wait(), mqtt.ErrRetriesExhausted)
		first := map[string]int{}
		for round := range slices.Chunk(w.took(), 3) {
			first[round[0]]++
			require.ElementsMatch(t, []string{"10.0.0.1:1883", "10.0.0.2:1883", "10.0.0.3:1883"}, round)
		}
		require.Len(t, first, 3)
		require.Greater(t, slices.Min(slices.Collect(maps.Values(first))), 50)
	})
}

func TestBackOffIsBetweenRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		cfg := w.config()
		cfg.RetryFirst = true
		cfg.Reconnect = reconnect.Policy{Min: time.Hour, Max: time.Hour, MaxAttempts: 1}
		cfg.Servers = []string{"mqtt://10.0.0.2", "mqtt://10.0.0.3"}
		d := connect(t, "mqtt://10.0.0.1", cfg)
		require.Len(t, w.took(), 3)
		require.ErrorIs(t, d.call.wait(), mqtt.ErrRetriesExhausted)
		require.Len(t, w.took(), 3)
	})
}

func TestAddressesAreLookedUpAgainInEachRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		w := &world{hosts: map[string][]string{"h": {"10.0.0.1"}},
			servers: map[string]*mqtttest.Server{"10.0.0.1:1883": srv, "10.0.0.2:1883": srv}}
		d := connect(t, "mqtt://h", w.config())
		conn := srv.Connected(&wire.Connack{})
		d.client(t)
		w.mu.Lock()
		w.hosts["h"] = []string{"10.0.0.2"}
		w.mu.Unlock()
		conn.Close()
		srv.Connected(&wire.Connack{})
		require.Equal(t, []string{"10.0.0.1:1883", "10.0.0.2:1883"}, w.took())
	})
}

func TestAllAddressesAreTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf, good := mqtttest.NewServer(t, wire.V5), mqtttest.NewServer(t, wire.V5)
		w := &world{
			hosts: map[string][]string{"h": {"10.0.0.1", "10.0.0.2", "10.0.0.3", "fe80::1"}},
			servers: map[string]*mqtttest.Server{
				"10.0.0.1:1883":  nil,  // swallows packets
				"[fe80::1]:1883": deaf, // accepts and says nothing
				"10.0.0.3:1883":  good,
			}}
		cfg := w.config()
		cfg.ConnectTimeout = 10 * time.Second
		begun := time.Now()
		d := connect(t, "mqtt://h", cfg)
		conn := deaf.Accept()
		conn.WantConnect()
		conn.WantClosed()
		require.Equal(t, 10*time.Second, time.Since(begun))
		// The first had a head start, the second was then of no use, the third
		// refuses, and the first still does not answer when the fourth is dialled.
		good.Connected(&wire.Connack{})
		d.client(t)
		require.Equal(t, []string{"10.0.0.1:1883", "[fe80::1]:1883", "10.0.0.1:1883", "10.0.0.2:1883", "10.0.0.3:1883"}, w.took())
		require.Equal(t, 10*time.Second+250*time.Millisecond, time.Since(begun))
	})
}

func TestOtherAddressesAreNotAskedWhatTheServerHasAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		w := &world{hosts: map[string][]string{"h": {"10.0.0.1", "10.0.0.2"}},
			servers: map[string]*mqtttest.Server{"10.0.0.1:1883": srv, "10.0.0.2:1883": srv}}
		d := connect(t, "mqtt://h", w.config())
		srv.Connected(&wire.Connack{ReasonCode: wire.ServerBusy})
		require.EqualError(t, d.call.wait(), "mqtt: connect to h:1883: server answered CONNACK: server busy (0x89)")
		require.Equal(t, []string{"10.0.0.1:1883"}, w.took())
	})
}

func TestLongListsOfAddressesAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{hosts: map[string][]string{}}
		for i := range 200 {
			w.hosts["h"] = append(w.hosts["h"], fmt.Sprintf("10.0.0.%d", i))
		}
		err := connect(t, "mqtt://h", w.config()).call.wait()
		require.ErrorIs(t, err, errUnreachable)
		require.Len(t, w.took(), 16)
		require.Less(t, len(err.Error()), 400)
	})
}

func TestLocalAddrLeavesOutTheOtherFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{hosts: map[string][]string{"h": {"fe80::1", "10.0.0.1", "fe80::2", "10.0.0.2"}}}
		cfg := w.config()
		cfg.LocalAddr = "192.0.2.1"
		require.Error(t, connect(t, "mqtt://h", cfg).call.wait())
		require.Equal(t, []string{"10.0.0.1:1883", "10.0.0.2:1883"}, w.took())
		w.hosts["h"] = []string{"fe80::1"}
		require.ErrorContains(t, connect(t, "mqtt://h", cfg).call.wait(), "no address that Config.LocalAddr can reach")
	})
}

func TestSRVRecords(t *testing.T) {
	for scheme, service := range map[string]string{"mqtt+srv": "_mqtt", "mqtts+srv": "_secure-mqtt"} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{
				hosts: map[string][]string{"a.example": {"10.0.0.1"}, "b.example": {"10.0.0.2"}},
				records: map[string][]*net.SRV{service + "._tcp.example.com": {
					{Target: "b.example.", Port: 2, Priority: 20},
					{Target: "a.example.", Port: 1, Priority: 10},
					{Target: "gone.example.", Port: 3, Priority: 15},
				}}}
			err := connect(t, scheme+"://example.com", w.config()).call.wait()
			require.ErrorContains(t, err, "connect to example.com: 10.0.0.1:1 unreachable; lookup gone.example: no such host; 10.0.0.2:2 unreachable")
			require.Equal(t, []string{"10.0.0.1:1", "10.0.0.2:2"}, w.took())
		})
	}
}

func TestSRVWithoutServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{records: map[string][]*net.SRV{"_mqtt._tcp.none.example": {{Target: "."}}}}
		err := connect(t, "mqtt+srv://none.example", w.config()).call.wait()
		require.ErrorContains(t, err, "_mqtt._tcp.none.example offers no server")
		err = connect(t, "mqtt+srv://missing.example", w.config()).call.wait()
		require.ErrorContains(t, err, "no such host")
		require.Empty(t, w.took())
	})
}

func TestSRVTargetThatIsBusySendsUsToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := mqtttest.NewServer(t, wire.V5), mqtttest.NewServer(t, wire.V5)
		w := &world{servers: map[string]*mqtttest.Server{"10.0.0.1:1": a, "10.0.0.2:2": b},
			records: map[string][]*net.SRV{"_mqtt._tcp.example.com": {
				{Target: "10.0.0.1", Port: 1, Priority: 1}, {Target: "10.0.0.2", Port: 2, Priority: 2}}}}
		d := connect(t, "mqtt+srv://example.com", w.config())
		a.Connected(&wire.Connack{ReasonCode: wire.ServerBusy})
		b.Connected(&wire.Connack{})
		d.client(t)
	})
}
