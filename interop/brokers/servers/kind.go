package servers

import (
	"errors"
	"os"
	"testing"

	"github.com/seed65a45251/mqtt"
)

// Kind is a broker.
type Kind struct {
	// Name is that of the product, such as "Mosquitto".
	Name string
	// Versions are the versions of MQTT that it speaks, the newest first.
	Versions []mqtt.Version

	start   func(*Server) (runner, error)
	version func() (string, error)
}

// runner is the part of a server that differs from kind to kind. Its methods are called
// by one goroutine at a time.
type runner interface {
	// launch starts the process and returns when it answers, with what it keeps on the
	// disk. The addresses are always the same.
	launch() error
	// end sends the process a signal and returns when it has ended. It does nothing when
	// no process runs.
	end(signal) error
	// log returns what it has said.
	log() string
}

// Kinds returns all brokers, ours last.
func Kinds() []Kind {
	old := []mqtt.Version{mqtt.V311, mqtt.V31}
	all := []mqtt.Version{mqtt.V5, mqtt.V311, mqtt.V31}
	return []Kind{
		{Name: "Mosquitto", Versions: all, start: startMosquitto, version: mosquittoVersion},
		{Name: "RabbitMQ", Versions: old, start: startRabbitMQ, version: rabbitVersion},
		{Name: "NATS", Versions: []mqtt.Version{mqtt.V311}, start: startLinked("NATS"), version: linkedVersion(natsVersion)},
		{Name: "mochi", Versions: all, start: startLinked("mochi"), version: linkedVersion(mochiVersion)},
		{Name: "aedes", Versions: old, start: startAedes, version: aedesVersion},
		{Name: "ours", Versions: all, start: startLinked("ours"), version: linkedVersion("of this repository")},
	}
}

// Version returns the version of the broker that is installed, such as "2.0.11". If none
// is, the test is skipped, or fails if MQTT_REQUIRE_SERVERS is set.
func (k Kind) Version(t testing.TB) string {
	t.Helper()
	version, err := k.version()
	k.check(t, err)
	return version
}

// check ends a test that cannot have the broker.
func (k Kind) check(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, errMissing) && os.Getenv("MQTT_REQUIRE_SERVERS") == "":
		t.Skip(k.Name, err)
	case err != nil:
		t.Fatal(k.Name, err)
	}
}

// Start runs a broker and returns when it answers. It ends with the test. If it is not
// installed, the test is skipped, or fails if MQTT_REQUIRE_SERVERS is set.
func (k Kind) Start(t testing.TB, opts Options) *Server {
	t.Helper()
	s := &Server{t: t, kind: k, opts: opts}
	s.open()
	return s
}
