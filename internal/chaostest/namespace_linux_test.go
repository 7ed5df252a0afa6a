package chaostest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/faultproxy"
)

// host is a machine of its own as far as the network is concerned: a network namespace,
// which ends with the test. Sockets that its thread opens are in it.
type host struct {
	t     *testing.T
	id    int // of the thread
	calls chan func()
}

// newHost makes a host without any link. It needs the privilege to do so.
func newHost(t *testing.T) (*host, error) {
	h := &host{t: t, calls: make(chan func())}
	made := make(chan error)
	over := make(chan struct{})
	go func() {
		defer close(over)
		// The thread stays locked, so that it ends with this function, and the namespace
		// with the thread.
		runtime.LockOSThread()
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		h.id = syscall.Gettid()
		made <- err
		for f := range h.calls {
			f()
		}
	}()
	if err := <-made; err != nil {
		close(h.calls)
		return nil, fmt.Errorf("a network namespace: %w", err)
	}
	t.Cleanup(func() {
		close(h.calls)
		<-over
	})
	return h, h.run("ip", "link", "set", "lo", "up")
}

// run runs a command on the host.
func (h *host) run(command ...string) error {
	args := append([]string{fmt.Sprintf("--net=/proc/%d/task/%d/ns/net", os.Getpid(), h.id)}, command...)
	if out, err := exec.Command("nsenter", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, out)
	}
	return nil
}

// must runs a command that cannot fail, given as one string.
func (h *host) must(format string, args ...any) {
	if err := h.run(strings.Fields(fmt.Sprintf(format, args...))...); err != nil {
		h.t.Error(err)
	}
}

// listen listens on the host.
func (h *host) listen(address string) (l net.Listener, err error) {
	done := make(chan struct{})
	h.calls <- func() {
		defer close(done)
		l, err = net.Listen("tcp", address)
	}
	<-done
	return l, err
}

// dial dials from the host. Only one dials at a time.
func (h *host) dial(ctx context.Context, network, address string) (nc net.Conn, err error) {
	done := make(chan struct{})
	call := func() {
		defer close(done)
		nc, err = new(net.Dialer).DialContext(ctx, network, address)
	}
	select {
	case h.calls <- call:
		<-done
		return nc, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// cable is a link between a host with a server and one with a client. What comes to the
// server's end goes on to a server outside.
type cable struct {
	server, client *host
	number         int // the third part of its addresses
	clientAddress  int // the last part of that of the client
	relay          *faultproxy.Proxy
}

// newCable makes two hosts with a link, to a server at that address.
func newCable(t *testing.T, number int, server string) (*cable, error) {
	c := &cable{number: number, clientAddress: 130}
	var err error
	if c.server, err = newHost(t); err != nil {
		return nil, err
	}
	if c.client, err = newHost(t); err != nil {
		return nil, err
	}
	if err := c.server.run("ip", "link", "add", "s0", "type", "veth", "peer", "name", "c0", "netns", fmt.Sprint(c.client.id)); err != nil {
		return nil, err
	}
	c.server.must("ip addr add %s/24 dev s0", c.serverIP())
	c.client.must("ip addr add %s/24 dev c0", c.clientIP())
	c.server.must("ip link set s0 up")
	c.client.must("ip link set c0 up")
	l, err := c.server.listen(c.serverIP() + ":1883")
	if err != nil {
		return nil, err
	}
	c.relay = faultproxy.NewListener(t, l, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server)
	})
	return c, nil
}

func (c *cable) serverIP() string { return fmt.Sprintf("10.77.%d.1", c.number) }
func (c *cable) clientIP() string { return fmt.Sprintf("10.77.%d.%d", c.number, c.clientAddress) }

// at is where the client finds the server.
func (c *cable) at() address { return address{"mqtt://" + c.serverIP() + ":1883", c.client.dial} }

// faults are those that the kernel can make. Each can last.
func (c *cable) faults() []fault {
	between := func(h *host, begin, end string) (func(*rand.Rand), func()) {
		return func(*rand.Rand) { h.must("%s", begin) }, func() { h.must("%s", end) }
	}
	var all []fault
	add := func(name string, h *host, begin, end string) {
		f := fault{name: name}
		f.begin, f.end = between(h, begin, end)
		all = append(all, f)
	}
	add("the server's link is down", c.server, "ip link set s0 down", "ip link set s0 up")
	add("the client's link is down", c.client, "ip link set c0 down", "ip link set c0 up")
	for _, kind := range []string{"blackhole", "unreachable", "prohibit"} {
		add(kind+" to the server", c.client, fmt.Sprintf("ip route add %s %s/32", kind, c.serverIP()), fmt.Sprintf("ip route del %s/32", c.serverIP()))
	}
	// Whatever address the client has, nothing comes back to it.
	add("blackhole to the client", c.server, fmt.Sprintf("ip route add blackhole 10.77.%d.128/25", c.number), fmt.Sprintf("ip route del 10.77.%d.128/25", c.number))
	return all
}

// gentle are faults that a connection survives, or is to find out by itself.
func (c *cable) gentle() []fault {
	return []fault{
		{"10 kB/s, and what is too much is dropped", func(*rand.Rand) {
			c.server.must("tc qdisc add dev s0 root tbf rate 80kbit burst 2kb limit 6kb")
			c.client.must("tc qdisc add dev c0 root tbf rate 80kbit burst 2kb limit 6kb")
		}, func() {
			c.server.must("tc qdisc del dev s0 root")
			c.client.must("tc qdisc del dev c0 root")
		}},
		{"large packets are dropped", func(*rand.Rand) { c.server.must("ip link set s0 mtu 576") }, func() { c.server.must("ip link set s0 mtu 1500") }},
		{"the client's address changes", func(*rand.Rand) { c.roam() }, nil},
		{"reset", func(*rand.Rand) { c.relay.Drop() }, nil},
	}
}

// roam gives the client another address and takes the one that it had.
func (c *cable) roam() {
	c.clientAddress = 130 + (c.clientAddress-129)%120
	c.client.must("ip addr flush dev c0")
	c.client.must("ip addr add %s/24 dev c0", c.clientIP())
}

// cables returns one for each client, or says that there can be none here. It fails the
// test where MQTT_REQUIRE_NAMESPACES says that there have to be.
func cables(t *testing.T, server string) ([]*cable, bool) {
	t.Helper()
	var all []*cable
	for number := range 2 {
		c, err := newCable(t, number+1, server)
		if err != nil {
			require.Empty(t, os.Getenv("MQTT_REQUIRE_NAMESPACES"), "MQTT_REQUIRE_NAMESPACES is set: %v", err)
			t.Logf("no network namespaces here (%v): the proxy makes the faults", err)
			return nil, false
		}
		all = append(all, c)
	}
	return all, true
}
