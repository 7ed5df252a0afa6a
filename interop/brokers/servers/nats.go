package servers

import (
	"errors"
	"io"
	"path/filepath"
	"strings"

	nats "github.com/nats-io/nats-server/v2/server"
)

const natsVersion = nats.VERSION

// natsAnyone is the user of clients without a name.
const natsAnyone = "anyone"

// serveNATS runs a NATS server with JetStream, which it needs for MQTT.
func serveNATS(cfg linkedConfig) (io.Closer, error) {
	opts := &nats.Options{
		ServerName: "test",
		DontListen: true,
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   filepath.Join(cfg.Dir, "jetstream"),
		MaxPayload: int32(cfg.Opts.MaximumPacketSize),
		MaxConn:    cfg.Opts.Connections,
	}
	opts.MQTT.Host, opts.MQTT.Port = "127.0.0.1", cfg.Ports.TCP
	opts.MQTT.MaxAckPending = uint16(cfg.Opts.ReceiveMaximum)
	secure, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	if secure != nil {
		opts.MQTT.TLSConfig, opts.MQTT.Port = secure, cfg.Ports.TLS
	}
	if cfg.Opts.WebSocket {
		opts.Websocket.Host, opts.Websocket.Port, opts.Websocket.NoTLS = "127.0.0.1", cfg.Ports.WebSocket, true
	}
	natsUsers(opts, cfg.Opts)
	server, err := nats.NewServer(opts)
	if err != nil {
		return nil, err
	}
	server.ConfigureLogger()
	server.Start()
	if !server.ReadyForConnections(patience) {
		return nil, errors.New("NATS does not start")
	}
	return closer(func() error {
		server.Shutdown()
		server.WaitForShutdown()
		return nil
	}), nil
}

// natsUsers has a user for each name, and one for clients without.
func natsUsers(opts *nats.Options, o Options) {
	rights := &nats.Permissions{Publish: natsDeny(o.NoPublish), Subscribe: natsDeny(o.NoSubscribe)}
	for name, password := range o.Users {
		opts.Users = append(opts.Users, &nats.User{Username: name, Password: password, Permissions: rights})
	}
	if o.Users == nil && (o.NoPublish != "" || o.NoSubscribe != "") {
		opts.Users = []*nats.User{{Username: natsAnyone, Password: natsAnyone, Permissions: rights}}
		opts.NoAuthUser = natsAnyone
	}
}

// natsDeny forbids one topic or filter, whose levels NATS separates by dots.
func natsDeny(filter string) *nats.SubjectPermission {
	if filter == "" {
		return nil
	}
	return &nats.SubjectPermission{Deny: []string{strings.NewReplacer("/", ".", "+", "*", "#", ">").Replace(filter)}}
}
