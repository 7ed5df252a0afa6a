package conversation

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// Quiet is a configuration in which the client sends nothing on its own.
func Quiet(srv *mqtttest.Server) mqtt.Config {
	return mqtt.Config{ClientID: "c1", Version: srv.Version, KeepAlive: -1, Dial: srv.Dial}
}

// Open connects a client whose first connection is up.
func Open(t *testing.T, srv *mqtttest.Server, cfg mqtt.Config) (*mqtt.Client, *mqtttest.Conn) {
	t.Helper()
	return OpenWith(t, srv, cfg, &wire.Connack{})
}

// OpenWith is Open with a CONNACK of the test's choice.
func OpenWith(t *testing.T, srv *mqtttest.Server, cfg mqtt.Config, ack *wire.Connack) (*mqtt.Client, *mqtttest.Conn) {
	t.Helper()
	c := Dial(t, cfg)
	conn := srv.Connected(ack)
	return c.Client(t), conn
}

// Dialing is a Connect under way.
type Dialing struct {
	Result *mqtt.Client // what Connect returned; set when Call is over
	Call   *Call
}

// Dial is Connect to a server whose name does not matter.
func Dial(t *testing.T, cfg mqtt.Config) *Dialing {
	return Connect(t, "mqtt://server", cfg)
}

// Connect begins Connect to url. The context of the client ends with the test.
func Connect(t *testing.T, url string, cfg mqtt.Config) *Dialing {
	d := new(Dialing)
	d.Call = Begin(func() (err error) {
		d.Result, err = mqtt.Connect(t.Context(), url, cfg)
		return err
	})
	return d
}

// Client waits for the client, which closes with the test.
func (d *Dialing) Client(t *testing.T) *mqtt.Client {
	t.Helper()
	require.NoError(t, d.Call.Wait())
	t.Cleanup(func() { d.Result.Close() })
	return d.Result
}

// Each runs f in a bubble of its own for every version.
func Each(t *testing.T, f func(t *testing.T, v wire.Version)) {
	for _, v := range []wire.Version{wire.V31, wire.V311, wire.V5} {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, v) })
		})
	}
}

// Seen takes the events that are there, up to the first that it wants, and
// reports whether there was one.
func Seen(events <-chan mqtt.Event, it func(mqtt.Event) bool) bool {
	synctest.Wait()
	for {
		select {
		case e, open := <-events:
			if !open {
				return false
			}
			if it(e) {
				return true
			}
		default:
			return false
		}
	}
}
