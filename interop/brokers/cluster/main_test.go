package cluster

import (
	"fmt"
	"os"
	"testing"
)

// nodeVariable makes this program a node of the cluster, as only another process can be
// killed. Its value is the node's settings.
const nodeVariable = "MQTT_CLUSTER_NODE"

func TestMain(m *testing.M) {
	if settings := os.Getenv(nodeVariable); settings != "" {
		if err := runNode([]byte(settings)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
