package servers

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/internal/daemon"
	"github.com/seed65a45251/mqtt/store/bolt"
	"github.com/seed65a45251/mqtt/wire"
)

// serveOurs runs the broker of this repository with a store.
func serveOurs(cfg linkedConfig) (io.Closer, error) {
	file, err := bolt.Open(filepath.Join(cfg.Dir, "store"), bolt.Config{})
	if err != nil {
		return nil, err
	}
	secure, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	b, err := broker.Open(broker.Config{
		Logger:            slog.New(slog.NewTextHandler(os.Stderr, nil)),
		TLS:               secure,
		Store:             file,
		MaximumPacketSize: cfg.Opts.MaximumPacketSize,
		ReceiveMaximum:    uint16(cfg.Opts.ReceiveMaximum),
		Connections:       cfg.Opts.Connections,
		KeepAliveMaximum:  time.Duration(cfg.Opts.KeepAlive) * time.Second,
		Authenticators:    []broker.Authenticator{ourLogins(cfg.Opts)},
		Authorizers:       []broker.Authorizer{ourRights(cfg.Opts)},
	})
	if err != nil {
		return nil, err
	}
	listen := map[string]int{"tcp": cfg.Ports.TCP, "tls": cfg.Ports.TLS, "ws": cfg.Ports.WebSocket}
	for network, port := range listen {
		if port == 0 {
			continue
		}
		if _, err := b.Listen(context.Background(), network, daemon.Loopback(port)); err != nil {
			return nil, err
		}
	}
	return closer(func() error { return errors.Join(b.Close(), file.Close()) }), nil
}

func ourLogins(o Options) broker.Authenticator {
	return broker.AuthenticatorFunc(func(_ context.Context, l *broker.Login) broker.Decision {
		if o.admits(l.Username, l.Password) {
			return broker.Allow()
		}
		return broker.Deny(wire.BadUserNameOrPassword, "")
	})
}

func ourRights(o Options) broker.Authorizer {
	return broker.AuthorizerFunc(func(_ context.Context, a *broker.Access) broker.Decision {
		forbidden := o.NoSubscribe
		if a.Action == broker.PublishAction {
			forbidden = o.NoPublish
		}
		if forbidden != "" && a.Topic == forbidden {
			return broker.Deny(wire.NotAuthorized, "")
		}
		return broker.Allow()
	})
}
