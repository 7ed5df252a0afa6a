package cluster

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
)

const (
	// The ports of every node, each at an address of its own.
	mqttPort  = 1883
	routePort = 6222
	// nowhere is an address at which nothing listens.
	nowhere = "127.0.0.1:9"
)

// nodeSettings are what a node's process has to know.
type nodeSettings struct {
	Name    string
	Address string   // 127.x.y.z
	Dir     string   // of the data
	Routes  []string // URLs of the routes that the node opens
	Options nodeOptions
}

// nodeOptions are those settings of NATS that tests change. Zero means NATS's own.
type nodeOptions struct {
	AckWait       time.Duration // before an unacknowledged message is sent again
	MaxAckPending uint16        // unacknowledged messages of one subscription
}

// runNode is the process of a node. It ends when its standard input does.
func runNode(raw []byte) error {
	var s nodeSettings
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	o := &server.Options{
		ServerName: s.Name,
		Host:       s.Address, // its own clients have a port, too: without, there are no routes
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   s.Dir,
		Cluster: server.ClusterOpts{
			Name: "test", Host: s.Address, Port: routePort,
			// Nodes tell each other where they listen, and would open further routes there.
			Advertise: nowhere,
		},
		MQTT: server.MQTTOpts{
			Host: s.Address, Port: mqttPort, StreamReplicas: nodes,
			AckWait: s.Options.AckWait, MaxAckPending: s.Options.MaxAckPending,
		},
	}
	for _, raw := range s.Routes {
		route, err := url.Parse(raw)
		if err != nil {
			return err
		}
		o.Routes = append(o.Routes, route)
	}
	srv, err := server.NewServer(o)
	if err != nil {
		return err
	}
	if os.Getenv("MQTT_CLUSTER_LOG") == "1" {
		srv.ConfigureLogger()
	}
	go srv.Start()
	if !srv.ReadyForConnections(time.Minute) {
		return errors.New("the node does not listen")
	}
	if _, err := os.Stdout.WriteString("ready\n"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	srv.Shutdown()
	srv.WaitForShutdown()
	return err
}

// node is one server of the cluster.
type node struct {
	settings nodeSettings
	cmd      *exec.Cmd
	stdin    io.Closer // its end is the node's
	stdout   io.Reader
}

func (n *node) url() string { return "mqtt://" + n.address() }

func (n *node) address() string { return net.JoinHostPort(n.settings.Address, "1883") }

// start starts the process.
func (n *node) start(t *testing.T) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	settings, err := json.Marshal(n.settings)
	require.NoError(t, err)
	n.cmd = exec.Command(program)
	n.cmd.Env = append(os.Environ(), nodeVariable+"="+string(settings))
	n.cmd.Stderr = t.Output()
	n.stdin, err = n.cmd.StdinPipe()
	require.NoError(t, err)
	n.stdout, err = n.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, n.cmd.Start())
}

// wait returns when the node listens. It needs another one for that.
func (n *node) wait(t *testing.T) {
	t.Helper()
	ready := make([]byte, len("ready\n"))
	_, err := io.ReadFull(n.stdout, ready)
	require.NoError(t, err, "%s does not start", n.settings.Name)
}

// kill ends the process with SIGKILL. One that has ended by itself has failed.
func (n *node) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, n.cmd.Process.Kill())
	require.ErrorContains(t, n.cmd.Wait(), "signal: killed")
	n.cmd = nil
}

// end ends the process if it runs.
func (n *node) end() {
	if n.cmd != nil {
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait()
		n.cmd = nil
	}
}
