package cluster

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// request asks a node's JetStream in NATS's own protocol, and returns the answer.
func (n *node) request(t *testing.T, subject, payload string) []byte {
	t.Helper()
	nc, err := net.Dial("tcp", net.JoinHostPort(n.settings.Address, "4222"))
	require.NoError(t, err)
	defer nc.Close()
	require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(nc, "CONNECT {\"verbose\":false}\r\nSUB answer 1\r\nPUB %s answer %d\r\n%s\r\n", subject, len(payload), payload)
	require.NoError(t, err)
	r := bufio.NewReader(nc)
	for {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		if strings.HasPrefix(line, "PING") {
			_, err = io.WriteString(nc, "PONG\r\n")
			require.NoError(t, err)
		}
		length := 0
		if _, err := fmt.Sscanf(line, "MSG answer 1 %d", &length); err == nil {
			answer := make([]byte, length)
			_, err = io.ReadFull(r, answer)
			require.NoError(t, err)
			return answer
		}
	}
}

// leader returns the node that leads a stream, or -1 if none does.
func (c *cluster) leader(stream string) int {
	c.t.Helper()
	var info struct {
		Cluster struct{ Leader string }
	}
	require.NoError(c.t, json.Unmarshal(c.nodes[0].request(c.t, "$JS.API.STREAM.INFO."+stream, ""), &info))
	return slices.IndexFunc(c.nodes[:], func(n *node) bool { return n.settings.Name == info.Cluster.Leader })
}

// leaders returns the leaders of two streams. If they are the same node, the second stream
// gets another one.
func (c *cluster) leaders(first, second string) (of, other int) {
	c.t.Helper()
	for asked, end := 0, time.Now().Add(patience); time.Now().Before(end); asked++ {
		of, other = c.leader(first), c.leader(second)
		if of >= 0 && other >= 0 && of != other {
			return of, other
		}
		if of == other && asked%20 == 0 { // an election takes a while
			c.nodes[0].request(c.t, "$JS.API.STREAM.LEADER.STEPDOWN."+second, "")
		}
		time.Sleep(100 * time.Millisecond)
	}
	require.FailNow(c.t, "no two leaders", "%s and %s", first, second)
	return 0, 0
}
