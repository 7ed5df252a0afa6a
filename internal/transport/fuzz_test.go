package transport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParse parses any URL of a server, and any reference that such a server sends. What
// is accepted is the same when it is written and parsed again.
func FuzzParse(f *testing.F) {
	for _, raw := range []string{
		"mqtt://host", "mqtts://user:password@host:8884", "ws://host/path?query=1", "wss://[fe80::1%25eth0]:8443/a%2Fb",
		"unix:///run/mqtt.sock", "ws+unix:///run/s:/mqtt", "mqtt+srv://example.com", "tcp://10.0.0.1:1883/", "host:1883",
		"mqtt://:host:", "mqtt://a:b:1883", "mqtt://[::1]:", "unix://!", "unix://a/b", "ws+unix://a!/b:/c", "ws://[fe80::1%25a:b]",
		"ws://[::%25a[b]", "ws://[fe80::1%25vEthernet%20(WSL)]", "mqtt://%C3%BC.example", "mqtt://$host", "mqtt://%FF",
	} {
		f.Add(raw, "10.0.0.2 [::1]:1884 other")
		f.Add(raw, "mqtt://host")
	}
	f.Fuzz(func(t *testing.T, raw, reference string) {
		s, user, err := Parse(raw)
		if err != nil {
			require.Less(t, len(err.Error()), 300+len(raw))
			return
		}
		again, _, err := Parse(s.URL())
		require.NoError(t, err, "%q, of %q", s.URL(), raw)
		require.Equal(t, s, again, "%q, of %q", s.URL(), raw)
		if password, given := user.Password(); given && len(password) > 8 && s.Address != "" {
			require.NotContains(t, s.String(), ":"+password+"@")
		}
		named, err := s.Named(reference)
		if err != nil {
			require.Less(t, len(err.Error()), 600)
			return
		}
		require.NotEmpty(t, named)
		require.LessOrEqual(t, len(named), maxRecords)
		for _, to := range named {
			require.Equal(t, s.TLS, to.TLS, "TLS is kept")
			require.Empty(t, to.Query, "a query may be secret")
			again, _, err := Parse(to.URL())
			require.NoError(t, err, to.URL())
			require.Equal(t, to.Address, again.Address)
		}
	})
}
