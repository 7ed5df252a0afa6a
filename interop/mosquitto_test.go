package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// tools are Mosquitto's programs for the command line against a broker of ours.
type tools struct {
	t       *testing.T
	ctx     context.Context
	broker  *mqtttest.Broker
	common  []string
	version string
	qos     byte
	// published counts the runs of publish.
	published int
}

// running is a program under way.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer
}

// TestMosquittoTools runs mosquitto_pub, mosquitto_sub and mosquitto_rr at every
// version and QoS.
func TestMosquittoTools(t *testing.T) {
	parts := map[string]func(*tools){
		"publish and subscribe": (*tools).exchange,
		"retained":              (*tools).retained,
		"will":                  (*tools).will,
		"resume":                (*tools).resume,
		"request and response":  (*tools).request,
	}
	for _, version := range []string{"31", "311", "5"} {
		for qos := range byte(3) {
			for name, part := range parts {
				t.Run(fmt.Sprintf("%s/QoS %d/%s", version, qos, name), func(t *testing.T) {
					t.Parallel()
					part(newTools(t, version, qos))
				})
			}
		}
	}
}

func newTools(t *testing.T, version string, qos byte) *tools {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	b := mqtttest.NewBrokerWith(t, mqtttest.Config{Patience: patience})
	u, err := url.Parse(b.URL())
	require.NoError(t, err)
	return &tools{
		t: t, ctx: ctx, broker: b, version: version, qos: qos,
		common: []string{"-h", u.Hostname(), "-p", u.Port(), "-V", version, "-q", fmt.Sprint(qos)},
	}
}

func (m *tools) start(program string, args ...string) *running {
	m.t.Helper()
	return m.startWith(nil, program, args...)
}

func (m *tools) startWith(stdin io.Reader, program string, args ...string) *running {
	m.t.Helper()
	r := &running{t: m.t, cmd: exec.CommandContext(m.ctx, program, append(m.common, args...)...)}
	r.cmd.Stdin = stdin
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	require.NoError(m.t, r.cmd.Start())
	return r
}

// wait waits for the end and returns what was printed.
func (r *running) wait() string {
	r.t.Helper()
	err := r.cmd.Wait()
	require.NoError(r.t, err, "%s", r.stderr.String())
	return r.stdout.String()
}

// stop ends the program, which may have ended already.
func (r *running) stop() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// kill ends the program before it can say goodbye.
func (r *running) kill() {
	r.t.Helper()
	require.NoError(r.t, r.cmd.Process.Kill())
	require.Error(r.t, r.cmd.Wait())
}

func (m *tools) run(program string, args ...string) string {
	m.t.Helper()
	return m.start(program, args...).wait()
}

// publish runs mosquitto_pub until the broker is done with it: at QoS 0 it ends
// before the broker has read what it wrote.
func (m *tools) publish(args ...string) {
	m.t.Helper()
	m.published++
	id := fmt.Sprintf("pub%d", m.published)
	m.run("mosquitto_pub", append(args, "-i", id)...)
	m.broker.WantDisconnected(id)
}

func (m *tools) exchange() {
	const lines = 200
	sub := m.start("mosquitto_sub", "-i", "sub", "-t", "in/#", "-C", fmt.Sprint(lines+2), "-F", "%t %q %p")
	m.broker.WantSubscribed("in/#", "sub")
	var all strings.Builder
	var want []string
	for i := range lines {
		fmt.Fprintf(&all, "line %d\n", i)
		want = append(want, fmt.Sprintf("in/lines %d line %d", m.qos, i))
	}
	pub := m.startWith(strings.NewReader(all.String()), "mosquitto_pub", "-i", "pub", "-t", "in/lines", "-l")
	m.broker.Want(mqtttest.Match{Type: wire.TypePublish, Direction: mqtttest.Up, ClientID: "pub", Times: lines})
	if m.qos == 0 {
		// Its two threads may note the last two messages the other way round.
		// Then it waits forever, at Mosquitto too.
		pub.stop()
	} else {
		pub.wait()
	}
	m.broker.WantDisconnected("pub")
	large := strings.Repeat("x", 100_000)
	m.publish("-t", "in/large", "-m", large)
	m.publish("-t", "in/empty", "-n")
	got := strings.Split(strings.TrimSuffix(sub.wait(), "\n"), "\n")
	require.Equal(m.t, want, got[:lines])
	// These came on connections of their own, which have no order.
	require.ElementsMatch(m.t, []string{
		fmt.Sprintf("in/large %d %s", m.qos, large), fmt.Sprintf("in/empty %d ", m.qos),
	}, got[lines:])
	m.broker.WantNoLeak()
}

func (m *tools) retained() {
	m.publish("-t", "kept", "-r", "-m", "old")
	m.publish("-t", "kept", "-r", "-m", "new")
	m.publish("-t", "gone", "-r", "-m", "old")
	m.publish("-t", "gone", "-r", "-n")
	said := m.run("mosquitto_sub", "-t", "#", "-C", "1", "-F", "%t %r %p")
	require.Equal(m.t, "kept 1 new\n", said)
	require.Equal(m.t, 1, m.broker.Stats().Retained)
}

func (m *tools) will() {
	sub := m.start("mosquitto_sub", "-i", "sub", "-t", "will", "-C", "1", "-F", "%t %q %r %p")
	m.broker.WantSubscribed("will", "sub")
	mortal := m.start("mosquitto_sub", "-i", "mortal", "-t", "nothing",
		"--will-topic", "will", "--will-payload", "gone", "--will-qos", fmt.Sprint(m.qos), "--will-retain")
	m.broker.WantSubscribed("nothing", "mortal")
	mortal.kill()
	require.Equal(m.t, fmt.Sprintf("will %d 0 gone\n", m.qos), sub.wait())
	require.Equal(m.t, 1, m.broker.Stats().Retained)
}

func (m *tools) resume() {
	session := []string{"-i", "sub", "-t", "while/away", "-c"}
	if m.version == "5" {
		session = append(session, "-x", "300")
	}
	sub := m.start("mosquitto_sub", session...)
	m.broker.WantSubscribed("while/away", "sub")
	sub.kill()
	m.broker.WantDisconnected("sub")
	kept := []string{"one", "two", "three"}
	for _, payload := range kept {
		m.publish("-t", "while/away", "-m", payload)
	}
	want := "one\ntwo\nthree\nafter\n"
	if m.qos == 0 {
		want = "after\n" // what nobody was there for is not kept
	}
	sub = m.start("mosquitto_sub", append(session, "-C", fmt.Sprint(strings.Count(want, "\n")))...)
	ack := m.broker.Want(mqtttest.Match{Type: wire.TypeConnack, ClientID: "sub", Times: 2}).Packet.(*wire.Connack)
	require.Equal(m.t, m.version != "31", ack.SessionPresent, "3.1 does not say")
	m.broker.Want(mqtttest.Match{Type: wire.TypeSuback, ClientID: "sub", Times: 2})
	m.publish("-t", "while/away", "-m", "after")
	require.Equal(m.t, want, sub.wait())
}

func (m *tools) request() {
	ours, err := mqtt.Connect(m.ctx, m.broker.URL(), mqtt.Config{ClientID: "ours"})
	require.NoError(m.t, err)
	defer ours.Close()
	sub, err := ours.Subscribe(m.ctx, "request", mqtt.ExactlyOnce)
	require.NoError(m.t, err)
	asking := m.start("mosquitto_rr", "-i", "asker", "-t", "request", "-e", "response", "-m", "question", "-F", "%t %p")
	request, err := sub.Next(m.ctx)
	require.NoError(m.t, err)
	require.Equal(m.t, "question", string(request.Payload))
	topic := "response"
	if m.version == "5" {
		require.Equal(m.t, topic, request.ResponseTopic)
	}
	require.NoError(m.t, ours.PublishMessage(m.ctx, &mqtt.Message{
		Topic: topic, Payload: []byte("answer"), QoS: mqtt.QoS(m.qos), CorrelationData: request.CorrelationData,
	}))
	require.Equal(m.t, "response answer\n", asking.wait())
}
