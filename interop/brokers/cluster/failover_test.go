package cluster

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	rounds = flag.Int("cluster.rounds", 1, "how often two nodes are killed and a route is cut")
	all    = flag.Bool("cluster.all", false, "run all variants of the failover")
)

// variant is one way of using the cluster.
type variant struct {
	name    string
	nodes   nodeOptions
	load    loadOptions
	ordered bool // the order of each key stays
}

var variants = []variant{
	{
		"one at a time", nodeOptions{AckWait: 3 * time.Second, MaxAckPending: 1}, loadOptions{shared: true, window: 1}, true,
	}, {
		"one at a time, each server by itself", nodeOptions{AckWait: 3 * time.Second, MaxAckPending: 1}, loadOptions{window: 1}, true,
	}, {
		"as NATS has it", nodeOptions{AckWait: 3 * time.Second}, loadOptions{shared: true, window: 1}, false,
	}, {
		"several on their way", nodeOptions{AckWait: 3 * time.Second, MaxAckPending: 1}, loadOptions{shared: true, window: 20, rate: 3}, false,
	},
}

// What was accepted arrives, in the order of each key, whatever happens to the nodes and
// the network between them, as long as the cluster has a majority. Publishers have one
// message of a key on its way at a time, and the cluster gives a worker one message at a
// time. Without these, and with what is published at QoS 2, the cluster does worse: see the
// replays.
func TestFailoverKeepsMessagesAndTheirOrder(t *testing.T) {
	run := variants[:1]
	if *all {
		run = variants
	}
	t.Parallel()
	for _, v := range run {
		t.Run(v.name, func(t *testing.T) {
			c := startCluster(t, v.nodes)
			l := c.startLoad(v.load)
			kills, cuts := c.trouble(l)
			f := l.finish()
			report(t, kills, cuts, f, l)
			// What the cluster has lost at QoS 2 comes late if it comes at all.
			f.disorders = slices.DeleteFunc(f.disorders, func(d disorder) bool { return l.lostByCluster(d.message) })
			if v.ordered {
				require.Empty(t, f.disorders, "%s", l.traces(f))
			}
		})
	}
}

// trouble kills one node after the other, and cuts the routes between two.
func (c *cluster) trouble(l *load) (kills, cuts int) {
	l.wantProgress(5, "before anything happens")
	for round := range *rounds {
		for i := range 2 {
			dead := (round + i) % nodes
			c.kill(dead)
			kills++
			l.wantProgress(5, fmt.Sprintf("without node %d", dead))
			c.revive(dead)
			l.wantProgress(5, fmt.Sprintf("with node %d back", dead))
		}
		a, b := round%nodes, (round+1)%nodes
		c.cut(a, b)
		cuts++
		l.wantProgress(5, fmt.Sprintf("with nodes %d and %d cut off from each other", a, b))
		c.heal(a, b)
		l.wantProgress(5, "with the cut healed")
	}
	return kills, cuts
}

func report(t *testing.T, kills, cuts int, f figures, l *load) {
	t.Logf("%d kills, %d cuts: %d messages accepted, %d received, %d lost by the cluster at QoS 2, %d duplicates, %d out of order",
		kills, cuts, f.accepted, f.received, len(f.lost), f.duplicates, len(f.disorders))
	for name, e := range l.workers {
		t.Logf("%s: %d connections, %d messages", name, e.tap.connections, len(l.ledger.byWorker[name]))
	}
}

// traces says what the wires carried around the first few disorders.
func (l *load) traces(f figures) (text string) {
	for _, d := range f.disorders[:min(3, len(f.disorders))] {
		text += fmt.Sprintf("after #%d: %s", d.after, l.trace(d.message))
	}
	return text
}

// trace says what the wires of its publisher and its worker carried around a message.
func (l *load) trace(m message) string {
	topic, _ := jobTopic.Match(m.key)
	worker := l.workers["worker-"+topic.Get("partition")]
	return fmt.Sprintf("%v\npublisher:\n%s\nworker:\n%s\n", m, l.publisherOf(m).tap.trace(m), worker.tap.trace(m))
}
