package broker

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/internal/plausible"
	"github.com/seed65a45251/mqtt/wire"
)

// validate refuses durations that cannot be meant.
func (cfg *Config) validate() error {
	for _, of := range []struct{ name, complaint string }{
		{"KeepAliveMaximum", plausible.Seconds(cfg.KeepAliveMaximum)},
		{"SessionExpiryMaximum", plausible.Seconds(cfg.SessionExpiryMaximum)},
		{"StatusInterval", plausible.Timeout(cfg.StatusInterval)},
		{"ConnectTimeout", plausible.Timeout(cfg.ConnectTimeout)},
		{"WriteTimeout", plausible.Timeout(cfg.WriteTimeout)},
	} {
		if of.complaint != "" {
			return fmt.Errorf("mqtt: broker: Config.%s: %s", of.name, of.complaint)
		}
	}
	return nil
}

// withDefaults returns a copy in which every zero value is replaced by what it means.
func (cfg Config) withDefaults() Config {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Versions = slices.Clone(cfg.Versions)
	if len(cfg.Versions) == 0 {
		cfg.Versions = []wire.Version{wire.V31, wire.V311, wire.V5}
	}
	if cfg.MaximumQoS == nil {
		cfg.MaximumQoS = new(wire.ExactlyOnce)
	} else {
		cfg.MaximumQoS = new(min(*cfg.MaximumQoS, wire.ExactlyOnce))
	}
	cfg.Authenticators = slices.Clone(cfg.Authenticators)
	cfg.EnhancedAuthenticators = slices.Clone(cfg.EnhancedAuthenticators)
	cfg.Authorizers = slices.Clone(cfg.Authorizers)
	cfg.Observers = slices.Clone(cfg.Observers)
	setDefault(&cfg.ConnectTimeout, 10*time.Second)
	setDefault(&cfg.WriteTimeout, 20*time.Second)
	setDefault(&cfg.SessionExpiryMaximum, 7*24*time.Hour)
	setDefault(&cfg.StatusInterval, 10*time.Second)
	setDefault(&cfg.MaximumPacketSize, 16<<20)
	cfg.MaximumPacketSize = min(cfg.MaximumPacketSize, math.MaxInt32)
	setDefault(&cfg.ReceiveMaximum, 1024)
	setDefault(&cfg.TopicAliasMaximum, 64)
	cfg.TopicAliasMaximum = min(max(cfg.TopicAliasMaximum, 0), math.MaxUint16)
	setDefault(&cfg.TopicAliasesSent, 32)
	setDefault(&cfg.Memory, 1<<30)
	setDefault(&cfg.Connections, 10_000)
	setDefault(&cfg.Sessions, 100_000)
	setDefault(&cfg.TopicLevels, 128)
	setDefault(&cfg.SubscriptionsPerClient, 10_000)
	setDefault(&cfg.Inflight, 1024)
	setDefault(&cfg.QueuedMessages, 65_536)
	setDefault(&cfg.QueuedBytes, 32<<20)
	setDefault(&cfg.RetainedMessages, 100_000)
	setDefault(&cfg.RetainedBytes, 256<<20)
	return cfg
}

func setDefault[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}
