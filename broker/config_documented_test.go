package broker

import (
	"testing"

	"github.com/seed65a45251/mqtt/internal/documented"
)

func TestDocumentedLimits(t *testing.T) {
	cfg := Config{}.withDefaults()
	documented.Want(t, "../SECURITY.md", "### Limits of the broker", map[string]any{
		"`Config.Memory`":                                        documented.Bytes(cfg.Memory),
		"`Config.Connections`":                                   cfg.Connections,
		"`Config.Sessions`":                                      cfg.Sessions,
		"`Config.SessionExpiryMaximum`":                          cfg.SessionExpiryMaximum,
		"`Config.SubscriptionsPerClient`":                        cfg.SubscriptionsPerClient,
		"`Config.TopicLevels`":                                   cfg.TopicLevels,
		"`Config.MaximumPacketSize`":                             documented.Bytes(cfg.MaximumPacketSize),
		"`Config.ReceiveMaximum`":                                cfg.ReceiveMaximum,
		"`Config.Inflight`":                                      cfg.Inflight,
		"`Config.TopicAliasMaximum`":                             cfg.TopicAliasMaximum,
		"`Config.QueuedMessages`":                                cfg.QueuedMessages,
		"`Config.QueuedBytes`":                                   documented.Bytes(cfg.QueuedBytes),
		"`Config.RetainedMessages`":                              cfg.RetainedMessages,
		"`Config.RetainedBytes`":                                 documented.Bytes(cfg.RetainedBytes),
		"`Config.ConnectTimeout`":                                cfg.ConnectTimeout,
		"`Config.WriteTimeout`":                                  cfg.WriteTimeout,
		"CONNECT":                                                documented.Bytes(connectMaximum),
		"refused connections that linger":                        lingerMaximum,
		"packets that are not whole before login, in all":        documented.Bytes(connectsMaximum),
		"connections with more than a small buffer before login": bulkyMaximum,
		"different sets of places of `+`":                        shapesMaximum,
	})
}
