package wsconn

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1883}
	public   = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1883}
)

func request(host string, origins ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = host
	r.Header["Origin"] = origins
	return r
}

func TestOriginsOfPages(t *testing.T) {
	for _, test := range []struct {
		name     string
		r        *http.Request
		local    net.Addr
		patterns []string
		want     error
	}{
		{"a program", request("evil.example"), loopback, nil, nil},
		{"a page of this host", request("localhost:1883", "http://localhost:1883"), loopback, nil, nil},
		{"a page of another host", request("localhost", "https://evil.example"), loopback, nil, errForeignPage},
		{"two origins", request("localhost", "http://localhost", "http://localhost"), loopback, nil, errForeignPage},
		{"a name that was made to lead here", request("evil.example", "http://evil.example"), loopback, nil, errForeignHost},
		{"the same under another address", request("app.example", "http://app.example"), public, nil, nil},
		{"a page that is named", request("localhost", "https://app.example"), loopback, []string{"*.example"}, nil},
		{"a host that is named", request("app.example", "http://app.example"), loopback, []string{"app.example"}, nil},
		{"with another scheme than named", request("localhost", "http://app.example"), loopback, []string{"https://app.example"}, errForeignPage},
	} {
		require.Equal(t, test.want, Origins{Patterns: test.patterns}.Check(test.r, test.local), test.name)
	}
}

func TestAClientHasToOfferMQTT(t *testing.T) {
	for offer, want := range map[string]bool{"mqtt": true, "chat, MQTT": true, "mqttv3.1": true, "mqtt5": false, "": false} {
		r := request("localhost")
		r.Header.Set("Sec-WebSocket-Protocol", offer)
		require.Equal(t, want, OffersMQTT(r), offer)
	}
}
