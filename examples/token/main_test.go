package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func TestTokensAreRenewed(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out, "", "", 3))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Equal(t, "logging in with token 1", lines[0])
	require.Contains(t, lines, "logging in with token 2")
	require.Contains(t, lines, "logging in with token 3")
	require.Regexp(t, regexp.MustCompile("(?m)^connection lost: .*not authorized"), out.String())
	require.Equal(t, "every message was acknowledged", lines[len(lines)-1])
}

// The command prints the password that the server wants.
func TestTheTokenOfACommand(t *testing.T) {
	server := mosquitto.Start(t, mosquitto.Options{Users: map[string]string{"token": "secret"}})
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out, server.URL(), "echo secret", 1))
	require.Equal(t, "logging in with token 1\nevery message was acknowledged\n", out.String())
}

func TestTheBrokerRefusesOtherTokens(t *testing.T) {
	i := newIssuer(0)
	defer i.broker.Close()
	expired, err := i.token(t.Context())
	require.NoError(t, err)
	for _, password := range []string{"", "x", expired, strings.Replace(expired, "20", "30", 1)} {
		require.NotEqual(t, broker.Allow(), i.check(t.Context(), &broker.Login{Password: []byte(password)}))
	}
	address, err := i.broker.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, err = mqtt.Connect(t.Context(), "mqtt://"+address.String(), mqtt.Config{Username: "token", Password: mqtt.Secret(expired)})
	require.ErrorIs(t, err, mqtt.NotAuthorized)
}
