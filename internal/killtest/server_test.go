package killtest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// server can be killed. What it has acknowledged is on the disk.
type server interface {
	url() string
	kill()
	restart()
	// end ends it and checks that nothing is left of the program's messages.
	end()
}

// ourBroker is a broker with a store in a process of its own.
type ourBroker struct {
	t       *testing.T
	dir     string
	process *process
}

func newBroker(t *testing.T) server {
	dir, err := os.MkdirTemp("", "kill") // a socket has a short path
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &ourBroker{t: t, dir: dir}
	b.restart()
	t.Cleanup(func() { _ = b.process.cmd.Process.Kill() })
	return b
}

func runBroker(args []string) error {
	file, err := bolt.Open(filepath.Join(args[0], "store"), bolt.Config{})
	if err != nil {
		return err
	}
	b, err := broker.Open(broker.Config{Store: file})
	if err != nil {
		return err
	}
	socket := filepath.Join(args[0], "mqtt")
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := b.Listen(context.Background(), "unix", socket); err != nil {
		return err
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	<-told
	return errors.Join(b.Close(), file.Close())
}

func (b *ourBroker) url() string { return "unix://" + filepath.Join(b.dir, "mqtt") }

func (b *ourBroker) kill() { b.process.kill() }

func (b *ourBroker) restart() { b.process = startProcess(b.t, "broker", b.dir) }

func (b *ourBroker) end() {
	require.NoError(b.t, b.process.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(b.t, b.process.cmd.Wait())
	for key, value := range records(b.t, filepath.Join(b.dir, "store")) {
		require.NotRegexp(b.t, `k/\d/(async|wait)`, value, "%x of the broker", key)
	}
}

// theirs is a Mosquitto that sends nothing before it has saved.
type theirs struct{ *mosquitto.Server }

func newMosquitto(t *testing.T) server {
	return theirs{mosquitto.Start(t, mosquitto.Options{Durable: true, MaxInflight: 20})}
}

func (s theirs) url() string { return s.URL() }
func (s theirs) kill()       { s.Kill() }
func (s theirs) restart()    { s.Restart() }
func (s theirs) end()        { s.Stop() }

// records returns what a store has.
func records(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := bolt.Open(path, bolt.Config{LockTimeout: 10 * time.Second})
	require.NoError(t, err)
	defer file.Close()
	all := map[string]string{}
	for r, err := range file.Scan(nil) {
		require.NoError(t, err)
		all[string(r.Key)] = string(r.Value)
	}
	return all
}
