package servers

import (
	"io"
	"path/filepath"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/storage/bolt"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/seed65a45251/mqtt/internal/daemon"
	"github.com/seed65a45251/mqtt/match"
)

const mochiVersion = mochi.Version

// serveMochi runs a mochi server with its file of bbolt.
func serveMochi(cfg linkedConfig) (io.Closer, error) {
	capabilities := mochi.NewDefaultServerCapabilities()
	if n := cfg.Opts.MaximumPacketSize; n != 0 {
		capabilities.MaximumPacketSize = uint32(n)
	}
	if n := cfg.Opts.ReceiveMaximum; n != 0 {
		capabilities.ReceiveMaximum = uint16(n)
	}
	if n := cfg.Opts.Connections; n != 0 {
		capabilities.MaximumClients = int64(n)
	}
	server := mochi.New(&mochi.Options{Capabilities: capabilities})
	if err := server.AddHook(&mochiRights{opts: cfg.Opts}, nil); err != nil {
		return nil, err
	}
	if err := server.AddHook(new(bolt.Hook), &bolt.Options{Path: filepath.Join(cfg.Dir, "mochi.db")}); err != nil {
		return nil, err
	}
	if err := mochiListen(server, cfg); err != nil {
		return nil, err
	}
	return server, server.Serve()
}

func mochiListen(server *mochi.Server, cfg linkedConfig) error {
	all := []listeners.Listener{listeners.NewTCP(listeners.Config{ID: "tcp", Address: cfg.tcp()})}
	secure, err := cfg.tls()
	if err != nil {
		return err
	}
	if secure != nil {
		all = append(all, listeners.NewTCP(listeners.Config{ID: "tls", Address: daemon.Loopback(cfg.Ports.TLS), TLSConfig: secure}))
	}
	if cfg.Opts.WebSocket {
		all = append(all, listeners.NewWebsocket(listeners.Config{ID: "ws", Address: daemon.Loopback(cfg.Ports.WebSocket)}))
	}
	for _, l := range all {
		if err := server.AddListener(l); err != nil {
			return err
		}
	}
	return nil
}

// mochiRights are the rules about users and topics.
type mochiRights struct {
	mochi.HookBase
	opts Options
}

func (*mochiRights) ID() string { return "rights" }

func (*mochiRights) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}

func (r *mochiRights) OnConnectAuthenticate(_ *mochi.Client, p packets.Packet) bool {
	return r.opts.admits(string(p.Connect.Username), p.Connect.Password)
}

// OnACLCheck is also asked about each message for a client. The topic is then that of
// the message.
func (r *mochiRights) OnACLCheck(_ *mochi.Client, topic string, write bool) bool {
	if write {
		return topic != r.opts.NoPublish
	}
	return r.opts.NoSubscribe == "" || topic != r.opts.NoSubscribe && !match.Match(r.opts.NoSubscribe, topic)
}
