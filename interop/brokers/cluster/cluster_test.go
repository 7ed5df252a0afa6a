package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/reconnect"
)

const (
	nodes = 3
	// patience is how long the tests wait for what has to come. Nothing takes so long
	// unless something is wrong.
	patience = time.Minute
)

// cluster is three nodes with a relay on each of the routes between them.
type cluster struct {
	t      *testing.T
	nodes  [nodes]*node
	routes map[[2]int]*faultproxy.Proxy // by the two nodes, the one that opens the route first
}

// startCluster returns a cluster that serves clients.
func startCluster(t *testing.T, o nodeOptions) *cluster {
	t.Helper()
	dir := t.TempDir()
	c := &cluster{t: t, routes: map[[2]int]*faultproxy.Proxy{}}
	// Addresses of their own leave no port to whatever else runs here, not even while a
	// node is down.
	net := fmt.Sprintf("127.%d.%d.", 1+rand.IntN(254), rand.IntN(255))
	for i := range nodes {
		name := "n" + strconv.Itoa(i)
		c.nodes[i] = &node{settings: nodeSettings{Name: name, Address: net + strconv.Itoa(1+i), Dir: filepath.Join(dir, name), Options: o}}
		for to := range i {
			relay := faultproxy.New(t, c.nodes[to].routeAddress())
			c.routes[[2]int{i, to}] = relay
			c.nodes[i].settings.Routes = append(c.nodes[i].settings.Routes, "nats-route://"+relay.Addr())
		}
	}
	// A node without routes is no cluster to NATS.
	c.nodes[0].settings.Routes = []string{"nats-route://" + nowhere}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.end()
		}
	})
	for _, n := range c.nodes {
		n.start(t)
	}
	for _, n := range c.nodes {
		n.wait(t)
		c.wantServing(n)
	}
	return c
}

func (n *node) routeAddress() string {
	return net.JoinHostPort(n.settings.Address, strconv.Itoa(routePort))
}

// wantServing waits until a node keeps the sessions of clients.
func (c *cluster) wantServing(n *node) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	client, err := mqtt.Connect(ctx, n.url(), mqtt.Config{
		ClientID: "probe-" + n.settings.Name, RetryFirst: true, Reconnect: reconnect.Policy{Max: time.Second},
	})
	require.NoError(c.t, err, "%s does not serve", n.settings.Name)
	require.NoError(c.t, client.Close())
}

// urls are those of all nodes, beginning with node i.
func (c *cluster) urls(i int) []string {
	var urls []string
	for k := range nodes {
		urls = append(urls, c.nodes[(i+k)%nodes].url())
	}
	return urls
}

// kill ends a node as kill -9 does. Its data stay.
func (c *cluster) kill(i int) { c.nodes[i].kill(c.t) }

// revive starts a killed node with its data, and waits until it serves.
func (c *cluster) revive(i int) {
	c.nodes[i].start(c.t)
	c.nodes[i].wait(c.t)
	c.wantServing(c.nodes[i])
}

// cut ends all routes between two nodes and lets no new ones come about.
func (c *cluster) cut(a, b int) {
	relay := c.routes[[2]int{max(a, b), min(a, b)}]
	relay.Refuse(true)
	require.Positive(c.t, relay.Drop(), "there is no route to cut")
}

// heal undoes cut, and waits until there is a route again.
func (c *cluster) heal(a, b int) {
	relay := c.routes[[2]int{max(a, b), min(a, b)}]
	relay.Refuse(false)
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	require.NoError(c.t, relay.Wait(ctx, func(s faultproxy.Stats) bool { return s.Open > 0 }))
}
