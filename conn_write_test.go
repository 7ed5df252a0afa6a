package mqtt

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/session"
)

func TestIdleConnectionGivesLargeBuffersBack(t *testing.T) {
	c := new(Client)
	c.engine.Client = session.NewClient(session.ClientSettings{})
	engine := c.engine.Client
	k := &conn{connOptions: connOptions{engine: &c.engine, acks: &c.holds}, outbox: outbox{spare: make([]byte, 0, 2*idleBuffer), taken: 1}}
	engine.Take(make([]byte, 0, 2*idleBuffer), k.start)
	k.trimLocked()
	require.NotNil(t, k.outbox.spare, "something was written since the connection began")
	k.trimLocked()
	require.Nil(t, k.outbox.spare)
	require.Zero(t, cap(engine.Take(nil, k.start)))

	k.outbox.spare = make([]byte, 0, idleBuffer)
	k.trimLocked()
	require.NotNil(t, k.outbox.spare, "a small one stays")
}
