package mqtt

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/documented"
	"github.com/seed65a45251/mqtt/wire"
)

func TestDocumentedLimits(t *testing.T) {
	cfg, err := Config{}.withDefaults()
	require.NoError(t, err)
	require.Zero(t, cfg.MaximumPacketSize, "as much as a packet can have")
	var q queue
	q.init(&SubscribeOptions{}, nil)
	documented.Want(t, "SECURITY.md", "### Limits of the client", map[string]any{
		"`Config.MaximumPacketSize`":                          documented.Bytes(wire.MaxRemainingLength + 1),
		"`Config.ReceiveMaximum`":                             cfg.ReceiveMaximum,
		"`Config.TopicAliasMaximum`":                          cfg.TopicAliasMaximum,
		"`Config.QueueMessages`":                              cfg.QueueMessages,
		"`Config.QueueBytes`":                                 documented.Bytes(cfg.QueueBytes),
		"`Config.HoldUnclaimed`":                              cfg.HoldUnclaimed,
		"`Config.HoldUnclaimedFor`":                           cfg.HoldUnclaimedFor,
		"`Config.ConnectTimeout`":                             cfg.ConnectTimeout,
		"`Config.WriteTimeout`":                               cfg.WriteTimeout,
		"`SubscribeOptions.BufferMessages`":                   q.maxMessages,
		"`SubscribeOptions.BufferBytes`":                      documented.Bytes(q.maxBytes),
		"messages that no Subscription has claimed, in bytes": documented.Bytes(maxUnclaimedBytes),
		"answers that the server does not read":               documented.Bytes(maxAnswers),
	})
}
