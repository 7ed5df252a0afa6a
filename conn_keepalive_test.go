package mqtt

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// pinging returns an engine whose PINGREQ is written.
func pinging(t *testing.T) *session.Client {
	t.Helper()
	now := time.Now()
	engine := session.NewClient(session.ClientSettings{})
	require.NoError(t, engine.Connect(V5, &wire.Connect{Version: V5, ClientID: "c", CleanStart: true, KeepAlive: 10}, now))
	engine.Take(nil, now)
	ack, err := (&wire.Connack{}).Append(nil, V5)
	require.NoError(t, err)
	h, n, err := wire.ParseHeader(ack, V5)
	require.NoError(t, err)
	require.NoError(t, engine.Handle(h, ack[n:], now))
	require.NoError(t, engine.Tick(now.Add(time.Minute)))
	engine.Take(nil, now)
	engine.Wrote(now)
	_, written := engine.Pinging()
	require.True(t, written)
	return engine
}

// Looking at what has left goes on beside the writer, which counts what it has written
// a moment after the operating system has it.
func TestPingDoesNotMoveWhereOnlyTheCountLagsBehind(t *testing.T) {
	engine := pinging(t)
	p := ping{end: 100}
	require.False(t, p.moves(engine, 40))
	require.False(t, p.moves(engine, 30), "10 bytes are being written")
	require.False(t, p.moves(engine, 40))
	require.True(t, p.look(engine))
	require.True(t, p.moves(engine, 50))
	require.True(t, p.moves(engine, 100))
	require.False(t, p.look(engine))
	require.False(t, p.moves(engine, 90))
	require.False(t, p.look(engine), "it has left")
}
