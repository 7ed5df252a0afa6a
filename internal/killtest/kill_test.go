package killtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

// A program that is killed at any moment, with a server that is, too, loses nothing that
// was accepted, keeps the order of each topic, and takes each QoS 2 message once.
func TestKilledProgramsAndServersLoseNothing(t *testing.T) {
	seed := number(t, "MQTT_KILL_SEED", rand.Uint64())
	kills := int(number(t, "MQTT_KILLS", 15))
	t.Logf("MQTT_KILL_SEED=%d MQTT_KILLS=%d", seed, kills)
	for name, newServer := range map[string]func(*testing.T) server{"broker": newBroker, "Mosquitto": newMosquitto} {
		for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			t.Run(fmt.Sprint(name, " ", version), func(t *testing.T) {
				t.Parallel()
				killAgainAndAgain(t, newServer(t), version, kills, rand.New(rand.NewPCG(seed, uint64(version))))
			})
		}
	}
}

// roundOf is how many kills there are before all has to arrive. With each the log grows,
// and every process reads all of it.
const roundOf = 50

func killAgainAndAgain(t *testing.T, s server, version mqtt.Version, kills int, random *rand.Rand) {
	dir := t.TempDir()
	for round := 0; kills > 0; round++ {
		log := filepath.Join(dir, fmt.Sprint("log", round))
		killForARound(t, s, version, min(kills, roundOf), random, log, filepath.Join(dir, "store"))
		kills -= roundOf
	}
	s.end()
}

func killForARound(t *testing.T, s server, version mqtt.Version, kills int, random *rand.Rand, log, file string) {
	start := func(last int) *process {
		return startProcess(t, "program", log, file, s.url(), strconv.Itoa(int(version)),
			strconv.FormatUint(random.Uint64(), 10), strconv.Itoa(last))
	}
	p := start(0)
	for range kills {
		time.Sleep(time.Duration(20+random.IntN(300)) * time.Millisecond)
		switch random.IntN(10) {
		case 0, 1, 2:
			s.kill()
			s.restart()
		case 3:
			s.kill()
			p.kill()
			p = start(0)
			s.restart()
		default:
			p.kill()
			p = start(0)
		}
	}
	p.kill()
	last := 100
	for _, e := range entries(t, log) {
		last = max(last, e.number+1)
	}
	p = start(last)
	patience := time.AfterFunc(2*time.Minute, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) })
	require.NoError(t, p.cmd.Wait(), "the last process ends by itself")
	patience.Stop()

	check(t, entries(t, log))
	for key, value := range records(t, file) {
		// Messages, exchanges and identifiers of messages that are not recorded.
		require.NotRegexp(t, `^C[mex]`, key, "%x of the program is left: %q", key, value)
	}
}

func entries(t *testing.T, log string) []entry {
	t.Helper()
	entries, err := readJournal(log)
	require.NoError(t, err)
	return entries
}

// reception is one hand-over of a message.
type reception struct {
	process int
	key     string
}

// check checks what the log says.
func check(t *testing.T, entries []entry) {
	published, accepted, reported := map[message]bool{}, map[message]bool{}, map[message]bool{}
	received, keys, latest := map[message][]reception{}, map[string]message{}, map[string]int{}
	unproven, again, processes := 0, 0, 0
	for _, e := range entries {
		m := e.message
		processes = e.process
		switch e.what {
		case linePublish:
			published[m] = true
		case lineAccepted:
			accepted[m] = true
		case lineReported:
			reported[m] = true
		case lineUnproven:
			unproven++
		case lineReceived:
			require.True(t, published[m], "%v was never published", m)
			before := received[m]
			if len(before) == 0 {
				require.Greater(t, m.number, latestOf(latest, m.topic), "%v comes late", m)
				latest[m.topic] = m.number
			}
			received[m] = append(before, reception{e.process, e.key})
			if e.key == "-" {
				break // QoS 1
			}
			owner, known := keys[e.key]
			require.True(t, !known || owner == m, "%v and %v have the key %s", owner, m, e.key)
			keys[e.key] = m
			for _, r := range before {
				switch {
				case r.key != e.key:
					again++
				case r.process == e.process:
					require.Fail(t, "handed over twice", "%v by process %d", m, e.process)
				default:
					require.True(t, e.dup, "%v comes again and is not marked", m)
				}
			}
		}
	}
	for m := range accepted {
		require.True(t, len(received[m]) > 0 || reported[m], "%v is lost", m)
	}
	t.Logf("%d processes, %d published, %d accepted, %d received, %d sessions not proven, %d again, %d reported",
		processes, len(published), len(accepted), len(received), unproven, again, len(reported))
	// Where the session is in doubt, what is in flight may be published again.
	require.LessOrEqual(t, again, 20*unproven, "more came again at QoS 2 than were in flight")
	if unproven == 0 {
		require.Empty(t, reported)
	}
}

func latestOf(latest map[string]int, topic string) int {
	if n, ok := latest[topic]; ok {
		return n
	}
	return -1
}

// number returns the number in an environment variable, or what else.
func number(t *testing.T, variable string, otherwise uint64) uint64 {
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, variable)
	return n
}
