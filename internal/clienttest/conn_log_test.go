package clienttest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// records is where a logger writes, one JSON object a line.
type records struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

// packets returns what was logged of packets, each with its direction.
func (r *records) packets(t *testing.T) (all []map[string]any) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range bytes.Lines(r.b.Bytes()) {
		var m map[string]any
		require.NoError(t, json.Unmarshal(line, &m))
		if m["packet"] != nil {
			all = append(all, m)
		}
	}
	return all
}

func TestPacketsAreLoggedWithoutSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(records)
		cfg.Logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: mqtt.LevelPacket}))
		cfg.Username, cfg.Password = "hidden-user", "hidden-password"
		cfg.Will = &mqtt.Will{Message: mqtt.Message{Topic: "w", Payload: []byte("hidden-will")}}
		client, conn := Open(t, srv, cfg)
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(Pub(7, 1, "hidden-payload"))
		_, err := sub.Next(t.Context())
		require.NoError(t, err)
		conn.Want(Puback(7))
		done := Publish(t, client, "hidden-payload", 1)
		p := mqtttest.Take[*wire.Publish](conn)
		conn.Send(Puback(p.PacketID))
		require.NoError(t, done.Wait())
		require.NoError(t, client.Close())

		var got []string
		for _, m := range log.packets(t) {
			require.Equal(t, "c1", m["client_id"])
			got = append(got, m["msg"].(string)[len("mqtt packet "):]+" "+m["packet"].(string))
		}
		require.Equal(t, []string{"sent CONNECT", "received CONNACK", "sent SUBSCRIBE", "received SUBACK",
			"received PUBLISH", "sent PUBACK", "sent PUBLISH", "received PUBACK", "sent DISCONNECT"}, got)
		published := log.packets(t)[6]
		require.Equal(t, "t", published["topic"])
		require.EqualValues(t, len("hidden-payload"), published["payload"])
		require.EqualValues(t, p.PacketID, published["packet_id"])
		require.NotContains(t, log.b.String(), "hidden")
	})
}

func TestPacketsAreNotLoggedUnlessAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		cfg := Quiet(srv)
		log := new(records)
		cfg.Logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		client, _ := Open(t, srv, cfg)
		require.NoError(t, client.Close())
		require.Empty(t, log.packets(t))
		require.NotEmpty(t, log.b.String())
	})
}

func TestLargePayloadIsOnePacketInTheLog(t *testing.T) {
	payload := bytes.Repeat([]byte("\x30\x0c\x00\x06hidden\x00xxx"), 40_000) // looks like PUBLISHes
	for _, socket := range []bool{false, true} {
		b := mqtttest.NewBroker(t)
		log := new(records)
		cfg := mqtt.Config{Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: mqtt.LevelPacket}))}
		if !socket {
			cfg.Dial = b.Dial
		}
		client, err := mqtt.Connect(t.Context(), b.URL(), cfg)
		require.NoError(t, err)
		for qos := range mqtt.ExactlyOnce + 1 {
			require.NoError(t, client.Publish(t.Context(), "t", payload, qos))
		}
		require.NoError(t, client.Close())
		var sizes []any
		for _, m := range log.packets(t) {
			if m["packet"] == "PUBLISH" {
				sizes = append(sizes, m["payload"])
			}
		}
		size := float64(len(payload))
		require.Equal(t, []any{size, size, size}, sizes)
		require.NotContains(t, log.b.String(), "hidden")
	}
}

// lines returns what was logged at Info and above, without times and durations.
func (r *records) lines(t *testing.T) (all []map[string]any) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range bytes.Lines(r.b.Bytes()) {
		var m map[string]any
		require.NoError(t, json.Unmarshal(line, &m))
		delete(m, "time")
		for _, key := range []string{"lasted", "delay"} {
			if d, ok := m[key].(float64); ok {
				require.Greater(t, d, 0.0)
				m[key] = "some"
			}
		}
		all = append(all, m)
	}
	return all
}

func TestTheLogHasTheLifeOfEachConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(records)
		cfg.Logger = slog.New(slog.NewJSONHandler(log, nil))
		cfg.Username, cfg.Password = "hidden-user", "hidden-password"
		d := Connect(t, "mqtt://hidden-name:hidden-word@server:99", cfg)
		conn := srv.Connected(&wire.Connack{})
		client := d.Client(t)
		time.Sleep(time.Second)
		conn.Close()
		srv.Connected(&wire.Connack{ReasonCode: wire.ServerBusy})
		srv.Connected(Resumed())
		synctest.Wait()
		time.Sleep(time.Second)
		require.NoError(t, client.Close())

		line := func(level, msg string, more ...any) map[string]any {
			m := map[string]any{"level": level, "msg": msg, "client_id": "c1"}
			for i := 0; i < len(more); i += 2 {
				m[more[i].(string)] = more[i+1]
			}
			return m
		}
		where := func(more ...any) []any {
			return append([]any{"server", "mqtt://server:99", "address", "server:99"}, more...)
		}
		require.Equal(t, []map[string]any{
			line("INFO", "mqtt connection established", where("version", "5.0", "session", "new", "attempt", 1.0)...),
			line("INFO", "mqtt connection ended", where("lasted", "some", "cause", "server closed the connection: EOF")...),
			line("INFO", "mqtt client waits to connect", "attempt", 1.0, "delay", "some"),
			line("WARN", "mqtt attempt to connect failed", "attempt", 1.0, "server", "mqtt://server:99", "cause", "server answered CONNACK: server busy (0x89)"),
			line("INFO", "mqtt client waits to connect", "attempt", 2.0, "delay", "some"),
			line("INFO", "mqtt connection established", where("version", "5.0", "session", "resumed", "attempt", 2.0)...),
			line("INFO", "mqtt connection ended", where("lasted", "some", "cause", "client closed")...),
			line("INFO", "mqtt client ended", "cause", "client closed"),
		}, log.lines(t))
		require.NotContains(t, log.b.String(), "hidden")
	})
}

func TestAFailedFirstAttemptBeginsAndEndsNoConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(records)
		cfg.Logger = slog.New(slog.NewJSONHandler(log, nil))
		d := Dial(t, cfg)
		srv.Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
		require.ErrorIs(t, d.Call.Wait(), mqtt.NotAuthorized)
		var said []any
		for _, m := range log.lines(t) {
			said = append(said, m["msg"])
		}
		require.Equal(t, []any{"mqtt attempt to connect failed", "mqtt client ended"}, said)
	})
}

func TestLogHasLittleOfWhatAServerSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		log := new(records)
		cfg.Logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: mqtt.LevelPacket}))
		cfg.ClientID = mqtt.Empty
		long := strings.Repeat("long/", 13_000)
		client, conn := OpenWith(t, srv, cfg, &wire.Connack{AssignedClientID: long, ReasonString: long})
		sub := Subscribe(t, client, conn, "#", 0)
		conn.Send(&wire.Publish{Topic: long}, &wire.Suback{PacketID: 9, ReasonCodes: make([]wire.ReasonCode, 10_000), ReasonString: long},
			&wire.Disconnect{ReasonCode: wire.ServerBusy, ReasonString: long})
		require.Equal(t, long, Next(t, sub).Topic)
		synctest.Wait()
		log.mu.Lock()
		defer log.mu.Unlock()
		require.Greater(t, bytes.Count(log.b.Bytes(), []byte("\n")), 5)
		for line := range bytes.Lines(log.b.Bytes()) {
			require.Less(t, len(line), 2500, "%.100s", line)
		}
	})
}
