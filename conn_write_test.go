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
	k := &conn{client: c, out: outbox{spare: make([]byte, 0, 2*idleBuffer), taken: 1}}
	engine.Take(make([]byte, 0, 2*idleBuffer), k.start)
	k.trim()
	require.NotNil(t, k.out.spare, "something was written since the connection began")
	k.trim()
	require.Nil(t, k.out.spare)
	require.Zero(t, cap(engine.Take(nil, k.start)))

	k.out.spare = make([]byte, 0, idleBuffer)
	k.trim()
	require.NotNil(t, k.out.spare, "a small one stays")
}
