package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

// shibboleth is a method with one challenge: the server says a word, the client
// another one, and the server a third that only the right one knows.
type shibboleth struct{ answers map[string]string }

func (s shibboleth) Method() string { return "SHIBBOLETH" }

func (s shibboleth) Start(context.Context) (mqtt.AuthExchange, []byte, error) {
	return s, nil, nil // it keeps nothing of its own, and sends nothing first
}

func (s shibboleth) Continue(_ context.Context, challenge []byte) ([]byte, error) {
	answer, known := s.answers[string(challenge)]
	if !known {
		return nil, errors.New("never heard of it")
	}
	return []byte(answer), nil
}

func (s shibboleth) Finish(_ context.Context, final []byte) error {
	if string(final) != "open sesame" {
		return errors.New("not the server that it should be")
	}
	return nil
}

func ExampleAuthenticator() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := mqtt.Connect(ctx, "mqtt://localhost:1883", mqtt.Config{
		Authenticator: shibboleth{map[string]string{"flash": "thunder"}},
		Dial:          dialShibboleth, // an ordinary program leaves it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	fmt.Println(client.State())
	// Output: connected
}

func ExampleClient_Reauthenticate() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := mqtt.Connect(ctx, "mqtt://localhost:1883", mqtt.Config{
		Authenticator: shibboleth{map[string]string{"flash": "thunder"}},
		Dial:          dialShibboleth, // an ordinary program leaves it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	fmt.Println(client.Reauthenticate(ctx))
	// Output: <nil>
}

// dialShibboleth connects to a server that can do nothing but authenticate.
func dialShibboleth(context.Context, string, string) (net.Conn, error) {
	server, client := net.Pipe()
	go serveShibboleth(server)
	return client, nil
}

func serveShibboleth(nc net.Conn) {
	defer nc.Close()
	reader := wire.NewReader(nc, wire.V5, 0)
	decoder := wire.Decoder{Version: wire.V5, From: wire.FromClient}
	connected := false
	for {
		h, body, err := reader.ReadPacket()
		if err != nil {
			return
		}
		packet, err := decoder.Decode(h, body)
		if err != nil {
			return
		}
		var answer wire.Packet
		switch p := packet.(type) {
		case *wire.Connect:
			answer = &wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "SHIBBOLETH", AuthenticationData: []byte("flash")}
		case *wire.Auth:
			switch {
			case p.ReasonCode == wire.Reauthenticate:
				answer = &wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "SHIBBOLETH", AuthenticationData: []byte("flash")}
			case string(p.AuthenticationData) != "thunder":
				return
			case connected:
				answer = &wire.Auth{AuthenticationMethod: "SHIBBOLETH", AuthenticationData: []byte("open sesame")}
			default:
				connected = true
				answer = &wire.Connack{AuthenticationMethod: "SHIBBOLETH", AuthenticationData: []byte("open sesame")}
			}
		default:
			return
		}
		b, err := answer.Append(nil, wire.V5)
		if err != nil {
			return
		}
		if _, err := nc.Write(b); err != nil {
			return
		}
	}
}
