package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestDurationsThatCannotBeMeantAreRefused(t *testing.T) {
	for name, cfg := range map[string]Config{
		"KeepAliveMaximum: 60ns is less than a second; did you mean 60 * time.Second?":          {KeepAliveMaximum: 60},
		"SessionExpiryMaximum: 3.6µs is less than a second; did you mean 3600 * time.Second?":   {SessionExpiryMaximum: 3600},
		"SessionExpiryMaximum: 100ms is less than a second, in which MQTT counts":               {SessionExpiryMaximum: 100 * time.Millisecond},
		"StatusInterval: 10ns is less than a millisecond; did you mean 10 * time.Second?":       {StatusInterval: 10},
		"ConnectTimeout: 5µs is less than a millisecond; did you mean 5000 * time.Millisecond?": {ConnectTimeout: 5000},
		"WriteTimeout: 20ns is less than a millisecond; did you mean 20 * time.Second?":         {WriteTimeout: 20},
	} {
		_, err := Open(cfg)
		require.ErrorContains(t, err, name)
		b := New(cfg)
		require.Equal(t, err, b.Publish(&wire.Publish{Topic: "a"}))
		_, err = b.Dial(t.Context())
		require.ErrorContains(t, err, name)
		require.NoError(t, b.Close())
	}
	b, err := Open(Config{StatusInterval: -1, SessionExpiryMaximum: time.Second, ConnectTimeout: time.Millisecond})
	require.NoError(t, err)
	require.NoError(t, b.Close())
}
