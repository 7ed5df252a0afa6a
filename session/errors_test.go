package session_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

func TestServerErrorQuotesOnlySoMuch(t *testing.T) {
	err := &session.ServerError{Packet: wire.TypeConnack, ReasonCode: wire.ServerBusy, ReasonString: strings.Repeat("\x1b", 60_000)}
	require.ErrorContains(t, err, "server busy")
	require.NotContains(t, err.Error(), "\x1b")
	require.Less(t, len(err.Error()), 2000)
}
