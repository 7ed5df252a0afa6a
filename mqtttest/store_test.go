package mqtttest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

func TestRestartEmptyLeavesWhatTheStoreHas(t *testing.T) {
	b := mqtttest.NewBrokerWith(t, mqtttest.Config{Broker: broker.Config{Store: store.Memory()}})
	b.Publish(&wire.Publish{Topic: "a", Payload: []byte("x"), QoS: 1, Retain: true})
	b.RestartEmpty()
	require.Equal(t, 1, b.Stats().Retained)
}
