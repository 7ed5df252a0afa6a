package migration_test

import (
	"testing"
	"time"

	"github.com/seed65a45251/mqtt/mqtttest"
)

// newBroker starts a broker that waits long enough for a busy machine.
func newBroker(t *testing.T) *mqtttest.Broker {
	return mqtttest.NewBrokerWith(t, mqtttest.Config{Patience: 5 * time.Minute})
}
