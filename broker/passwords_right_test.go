package broker

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed65a45251/mqtt/wire"
	"github.com/stretchr/testify/require"
)

// A password that was right needs no slow hash, until the file is read again.
func TestRightPasswordsAreRemembered(t *testing.T) {
	path := passwordFile(t, cheap(t, "alice", "x"))
	synctest.Test(t, func(t *testing.T) {
		p, err := LoadPasswords(path)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		login := func(password string) wire.ReasonCode {
			l := &Login{Peer: Peer{Username: "alice"}, Password: []byte(password)}
			return p.Authenticate(ctx, l).code
		}
		require.Zero(t, login("x"))
		cancel()
		for range cap(p.slots) {
			p.slots <- struct{}{} // nobody gets a turn any more
		}
		require.Zero(t, login("x"))
		require.Equal(t, wire.ServerBusy, login("y"))
		time.Sleep(rightFor)
		require.Equal(t, wire.ServerBusy, login("x"))

		right := p.users.Load().right
		right.add("alice", []byte("x"))
		require.Zero(t, login("x"))
		require.False(t, right.has("alic", []byte("ex")))
		require.False(t, right.has("alice", nil))
		require.False(t, right.has("alice", make([]byte, 1<<16)))
		require.NoError(t, p.Reload())
		require.Equal(t, wire.ServerBusy, login("x"))
		for i := range rightMaximum + 10 {
			right.add(fmt.Sprint(i), nil)
		}
		require.Len(t, right.until, rightMaximum)
	})
}
