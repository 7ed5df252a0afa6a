package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// versions are the names of the versions here and for Mosquitto's programs.
var versions = map[string]string{"3.1": "mqttv31", "3.1.1": "mqttv311", "5": "mqttv5"}

// address returns host and port as options that both families of programs take.
func address(s *mosquitto.Server) []string {
	host, port, _ := strings.Cut(s.Addr(), ":")
	return []string{"-h", host, "-p", port}
}

func TestPubReachesMosquittoSub(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	for ours, theirs := range versions {
		for _, qos := range []string{"0", "1", "2"} {
			topic := "to/" + ours + "/" + qos
			args := append([]string{"pub"}, address(server)...)
			mqtt(t, append(args, "-V", ours, "-q", qos, "-r", topic, "21.5")...).succeeds()
			got := foreign(t, "mosquitto_sub", append(address(server), "-V", theirs, "-t", topic, "-q", qos, "-C", "1", "-v")...)
			require.Equal(t, topic+" 21.5\n", got.succeeds())
		}
	}
}

func TestPubSendsEveryProperty(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	mqtt(t, "pub", server.URL(), "p", "{}", "-q", "1", "-r", "--content-type", "application/json", "--response-topic", "answer",
		"--correlation", "hex:6162", "--property", "a=1", "--property", "a=2", "--expiry", "1h", "--utf8").succeeds()
	got := foreign(t, "mosquitto_sub", append(address(server), "-V", "5", "-t", "p", "-C", "1", "-F", "%C|%R|%D|%P|%F|%p")...)
	require.Equal(t, "application/json|answer|ab|a:1 a:2|1|{}\n", got.succeeds())
}

func TestMosquittoPubReachesSub(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	for ours, theirs := range versions {
		sub := mqtt(t, "sub", server.URL(), "-V", ours, "from/#", "-q", "2", "-C", "2", "-v", "-dd").says("SUBACK")
		foreign(t, "mosquitto_pub", append(address(server), "-V", theirs, "-t", "from/a", "-m", "one", "-q", "1")...).succeeds()
		foreign(t, "mosquitto_pub", append(address(server), "-V", theirs, "-t", "from/b", "-m", "two", "-q", "2")...).succeeds()
		require.Equal(t, "from/a one\nfrom/b two\n", sub.succeeds())
	}
}

func TestOptionsOfMosquittoPub(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	mqtt(t, append([]string{"pub"}, append(address(server), "-t", "m", "-m", "x", "-q", "1", "-r", "--id", "me", "--keepalive", "5", "-c", "-V", "mqttv311")...)...).succeeds()
	require.Equal(t, "m 1 x\n", mqtt(t, append([]string{"sub"}, append(address(server), "-t", "m", "-C", "1", "-F", "%t %r %p")...)...).succeeds())
}

func TestLinesArriveInOrder(t *testing.T) {
	t.Parallel()
	const n = 3000
	// Mosquitto does not always keep to the receive maximum of a client at 5.0, whatever its
	// own limit is. The client then connects again, and messages at QoS 1 come twice.
	server := mosquitto.Start(t, mosquitto.Options{MaxInflight: 20})
	sub := mqtt(t, "sub", server.URL(), "lines", "-V", "mqttv311", "-q", "1", "-C", fmt.Sprint(n), "-dd").says("SUBACK")
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "line %d\n", i)
	}
	pub := command(t, "pub", server.URL(), "lines", "-l", "-q", "1")
	pub.Stdin = strings.NewReader(lines.String())
	start(t, pub).succeeds()
	require.Equal(t, lines.String(), sub.succeeds())
}

func TestWhatSubPrintsAsJSONPubTakes(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	binary := filepath.Join(t.TempDir(), "binary")
	require.NoError(t, os.WriteFile(binary, []byte{0, 0xff, '\n'}, 0o600))
	mqtt(t, "pub", server.URL(), "one", "-f", binary, "-r", "-q", "1", "--property", "a=b").succeeds()
	first := mqtt(t, "sub", server.URL(), "one", "-C", "1", "-j").succeeds()
	require.Contains(t, first, `"payload_base64":"AP8K"`)

	pub := command(t, "pub", server.URL(), "--json-lines", "-q", "1")
	pub.Stdin = strings.NewReader(strings.ReplaceAll(first, `"topic":"one"`, `"topic":"two"`) + "\n")
	start(t, pub).succeeds()
	second := mqtt(t, "sub", server.URL(), "two", "-C", "1", "-N").succeeds()
	require.Equal(t, "\x00\xff\n", second)
	require.Equal(t, "b\n", mqtt(t, "sub", server.URL(), "two", "-C", "1", "--template", `{{.Property "a"}}`).succeeds())
}

func TestSubWritesAFileForEachTopic(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	dir := filepath.Join(t.TempDir(), "log")
	sub := mqtt(t, "sub", server.URL(), "#", "-q", "1", "-C", "4", "--dir", dir, "-dd").says("SUBACK")
	pub := command(t, "pub", server.URL(), "--json-lines", "-q", "1")
	pub.Stdin = strings.NewReader(`{"topic":"a","payload":"1"}
{"topic":"a/b","payload":"2"}
{"topic":"../../a","payload":"3"}
{"topic":"a","payload":"4"}
`)
	start(t, pub).succeeds()
	sub.succeeds()
	for name, want := range map[string]string{"a.log": "1\n4\n", "a/b.log": "2\n", "%2E%2E/%2E%2E/a.log": "3\n"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, want, string(got), name)
	}
}

func TestRetainedMessages(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	for _, topic := range []string{"r/1", "r/2", "r/3"} {
		mqtt(t, "pub", server.URL(), topic, topic, "-r", "-q", "1").succeeds()
	}
	require.Equal(t, "r/1\n", mqtt(t, "sub", server.URL(), "r/#", "-T", "r/2", "-T", "r/3", "-C", "1", "--remove-retained", "-q", "1").succeeds())
	require.Equal(t, "r/2\nr/3\n", mqtt(t, "sub", server.URL(), "r/#", "-C", "2").succeeds())
	for version := range versions {
		sub := mqtt(t, "sub", server.URL(), "r/#", "-R", "-V", version, "-C", "1", "-dd").says("SUBACK")
		mqtt(t, "pub", server.URL(), "r/4", "live").succeeds()
		require.Equal(t, "live\n", sub.succeeds())
	}
}

// A message is acknowledged when it is written, so that one that is not written comes
// again.
func TestSlowOutputLosesNothing(t *testing.T) {
	t.Parallel()
	const n = 60 // of 8 KiB: a pipe takes a few of them
	server := mosquitto.Start(t, mosquitto.Options{})
	args := []string{"sub", server.URL(), "slow", "-q", "1", "-i", "slow", "-c"}
	mqtt(t, append(args, "-E")...).succeeds()
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "%0*d\n", 8<<10, i)
	}
	pub := command(t, "pub", server.URL(), "slow", "-l", "-q", "1")
	pub.Stdin = strings.NewReader(lines.String())
	start(t, pub).succeeds()

	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer read.Close()
	stuck := command(t, args...)
	stuck.Stdout = write
	p := start(t, stuck)
	require.NoError(t, write.Close())
	first := make([]byte, 8<<10+1)
	_, err = io.ReadFull(read, first) // it has begun to write
	require.NoError(t, err)
	require.NoError(t, p.cmd.Process.Kill())
	p.wait()
	rest, err := io.ReadAll(read)
	require.NoError(t, err)
	written := bytes.Count(append(first, rest...), []byte("\n")) // whole lines
	require.Less(t, written, n)

	mqtt(t, "pub", server.URL(), "slow", "the last", "-q", "1").succeeds()
	left := mqtt(t, args...)
	left.waitFor(left.stdout, "the last")
	got := map[string]bool{}
	for line := range strings.Lines(string(first) + string(rest) + "\n" + left.stdout.String()) {
		got[strings.TrimSuffix(line, "\n")] = true
	}
	for line := range strings.Lines(lines.String()) {
		require.True(t, got[strings.TrimSuffix(line, "\n")], strings.TrimLeft(line, "0"))
	}
}

func TestSubEndsWhenNobodyReads(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd := command(t, "sub", server.URL(), "quiet", "-dd")
	cmd.Stdout = write
	sub := start(t, cmd).says("SUBACK")
	require.NoError(t, write.Close())
	require.NoError(t, read.Close())
	require.Equal(t, 0, sub.wait()) // without a message
	require.NotContains(t, sub.stderr.String(), "broken pipe")
}

func TestStoreKeepsMessagesForTheNextRun(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	file := filepath.Join(t.TempDir(), "queue")
	server.Stop()
	pub := mqtt(t, "pub", server.URL(), "stored", "first", "-i", "meter", "--store", file, "-W", "1")
	require.Equal(t, 4, pub.wait())
	require.Contains(t, pub.stderr.String(), "1 messages stay in")
	server.Restart()
	sub := mqtt(t, "sub", server.URL(), "stored", "-q", "1", "-C", "2", "-dd").says("SUBACK")
	mqtt(t, "pub", server.URL(), "stored", "second", "-i", "meter", "--store", file).succeeds()
	require.Equal(t, "first\nsecond\n", sub.succeeds())
}

func TestSignals(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	for _, test := range []struct {
		name   string
		args   []string
		signal syscall.Signal
		code   int
	}{
		{"without an end of its own", []string{"sub", "a"}, syscall.SIGINT, 0},
		{"before the count", []string{"sub", "a", "-C", "1"}, syscall.SIGINT, 130},
		{"terminated", []string{"sub", "a", "-C", "1"}, syscall.SIGTERM, 143},
		{"responder", []string{"respond", "a", "--echo"}, syscall.SIGTERM, 0},
	} {
		p := mqtt(t, append(test.args, "-dd", "-L", server.URL())...).says("SUBACK")
		require.NoError(t, p.cmd.Process.Signal(test.signal))
		require.Equal(t, test.code, p.wait(), test.name)
		require.Contains(t, p.stderr.String(), "DISCONNECT", test.name)
	}
	// What was read before the signal is still acknowledged.
	cmd := command(t, "pub", server.URL(), "a", "-l", "-q", "1", "-v")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	pub := start(t, cmd)
	_, err = io.WriteString(in, "x\n")
	require.NoError(t, err)
	pub.waitFor(pub.stdout, "a: ")
	require.NoError(t, pub.cmd.Process.Signal(syscall.SIGINT))
	require.Equal(t, 130, pub.wait())
}
