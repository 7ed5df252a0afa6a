package broker

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/wire"
)

// config is the configuration file. The help of the command has an example of it.
type config struct {
	Listeners []listener `toml:"listeners"`
	Passwords string     `toml:"passwords"`
	ACL       string     `toml:"acl"`
	Anonymous bool       `toml:"anonymous"`
	Store     string     `toml:"store"`
	Shutdown  duration   `toml:"shutdown"`
	Origins   []string   `toml:"origins"`
	TLS       tlsFiles   `toml:"tls"`
	Health    health     `toml:"health"`
	Log       logging    `toml:"log"`
	Limits    limits     `toml:"limits"`
	Features  features   `toml:"features"`
}

type listener struct {
	URL string `toml:"url"`
}

type tlsFiles struct {
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	// ClientCA has the authorities whose certificates of clients are accepted.
	ClientCA string `toml:"client_ca"`
	// Require refuses clients without a certificate.
	Require bool `toml:"require_client_certificate"`
	// Names makes the common name of a client's certificate its user name.
	Names bool `toml:"client_certificate_names"`
}

type health struct {
	Listen string `toml:"listen"`
}

type logging struct {
	Level  slog.Level `toml:"level"`
	Format string     `toml:"format"`
}

// limits and features leave to the broker what is not set.
type limits struct {
	PacketSize             size     `toml:"packet_size"`
	Memory                 size     `toml:"memory"`
	Connections            int      `toml:"connections"`
	Sessions               int      `toml:"sessions"`
	SessionExpiry          duration `toml:"session_expiry"`
	KeepAlive              duration `toml:"keep_alive"`
	ReceiveMaximum         uint16   `toml:"receive_maximum"`
	TopicLevels            int      `toml:"topic_levels"`
	SubscriptionsPerClient int      `toml:"subscriptions_per_client"`
	Inflight               int      `toml:"inflight"`
	QueuedMessages         int      `toml:"queued_messages"`
	QueuedBytes            size     `toml:"queued_bytes"`
	RetainedMessages       int      `toml:"retained_messages"`
	RetainedBytes          size     `toml:"retained_bytes"`
}

type features struct {
	Versions        []string  `toml:"versions"`
	MaximumQoS      *wire.QoS `toml:"maximum_qos"`
	Retained        *bool     `toml:"retained"`
	Wildcards       *bool     `toml:"wildcards"`
	Shared          *bool     `toml:"shared"`
	SubscriptionIDs *bool     `toml:"subscription_ids"`
	StatusInterval  duration  `toml:"status_interval"`
}

// duration is a text such as "90s".
type duration time.Duration

// UnmarshalText parses a duration.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// size is a number of bytes, or a text such as "16MiB".
type size int

var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

// UnmarshalText parses a size.
func (s *size) UnmarshalText(text []byte) error {
	for _, unit := range units {
		number, ok := strings.CutSuffix(string(text), unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt/unit.bytes {
			break
		}
		*s = size(n * unit.bytes)
		return nil
	}
	return fmt.Errorf("%.40q is not a size such as 512KiB or 16MiB", text)
}

// load reads a configuration file. Paths in it are relative to its folder.
func load(path string) (config, error) {
	var c config
	if path == "" {
		return c, nil
	}
	meta, err := toml.DecodeFile(path, &c)
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return c, fmt.Errorf("%s: unknown setting %s", path, unknown[0])
	}
	for _, p := range []*string{&c.Passwords, &c.ACL, &c.Store, &c.TLS.Certificate, &c.TLS.Key, &c.TLS.ClientCA} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(path), *p)
		}
	}
	return c, nil
}

// finish fills in what is not set, and refuses what cannot be.
func (c *config) finish() error {
	if len(c.Listeners) == 0 {
		c.Listeners = []listener{{"mqtt://localhost:1883"}}
	}
	for _, l := range c.Listeners {
		network, _, err := l.parse()
		if err != nil {
			return err
		}
		if (network == "tls" || network == "wss") && c.TLS.Certificate == "" {
			return fmt.Errorf("listener %s needs a certificate and a key in [tls]", l.URL)
		}
	}
	c.Shutdown = cmp.Or(c.Shutdown, duration(10*time.Second))
	c.Log.Format = cmp.Or(c.Log.Format, "text")
	switch t := c.TLS; {
	case c.Log.Format != "text" && c.Log.Format != "json":
		return fmt.Errorf("log format %.20q is neither text nor json", c.Log.Format)
	case (t.Certificate == "") != (t.Key == ""):
		return errors.New("[tls] needs both certificate and key")
	case t.ClientCA == "" && (t.Require || t.Names):
		return errors.New("[tls] needs client_ca to check certificates of clients")
	case c.Passwords == "" && c.ACL != "" && !c.Anonymous && !t.Names:
		return errors.New("an acl without passwords or client_certificate_names needs anonymous = true")
	}
	return nil
}

// parse returns the network and the address for [broker.Broker.Listen].
func (l listener) parse() (network, address string, err error) {
	u, err := url.Parse(l.URL)
	if err != nil {
		return "", "", fmt.Errorf("listener %.80q is not a URL", l.URL)
	}
	networks := map[string]string{"mqtt": "tcp", "tcp": "tcp", "mqtts": "tls", "tls": "tls", "ssl": "tls", "ws": "ws", "wss": "wss"}
	ports := map[string]string{"tcp": "1883", "tls": "8883", "ws": "80", "wss": "443"}
	if u.Scheme == "unix" {
		if u.Path == "" {
			return "", "", fmt.Errorf("listener %.80q names no socket", l.URL)
		}
		return "unix", u.Host + u.Path, nil
	}
	network, ok := networks[u.Scheme]
	switch {
	case !ok:
		return "", "", fmt.Errorf("listener %.80q: the scheme is not mqtt, mqtts, ws, wss or unix", l.URL)
	case u.User != nil:
		return "", "", errors.New("a listener has no user and no password")
	case network == "tcp" || network == "tls":
		if u.Path != "" && u.Path != "/" {
			return "", "", fmt.Errorf("listener %.80q: a path belongs to ws and wss", l.URL)
		}
	}
	return network, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), ports[network])), nil
}

// broker returns the settings of the broker that do not need a file.
func (c *config) broker(logger *slog.Logger) (broker.Config, error) {
	l, f := c.Limits, c.Features
	cfg := broker.Config{
		Logger: logger, Origins: c.Origins,
		MaximumQoS: f.MaximumQoS, NoRetained: off(f.Retained), NoWildcards: off(f.Wildcards), NoShared: off(f.Shared),
		NoSubscriptionIDs: off(f.SubscriptionIDs), StatusInterval: time.Duration(f.StatusInterval),
		KeepAliveMaximum: time.Duration(l.KeepAlive), SessionExpiryMaximum: time.Duration(l.SessionExpiry),
		MaximumPacketSize: int(l.PacketSize), ReceiveMaximum: l.ReceiveMaximum,
		Memory: int(l.Memory), Connections: l.Connections, Sessions: l.Sessions, TopicLevels: l.TopicLevels,
		SubscriptionsPerClient: l.SubscriptionsPerClient, Inflight: l.Inflight,
		QueuedMessages: l.QueuedMessages, QueuedBytes: int(l.QueuedBytes),
		RetainedMessages: l.RetainedMessages, RetainedBytes: int(l.RetainedBytes),
	}
	versions := map[string]wire.Version{"3.1": wire.V31, "3.1.1": wire.V311, "5.0": wire.V5, "5": wire.V5}
	for _, name := range f.Versions {
		v, ok := versions[name]
		if !ok {
			return cfg, fmt.Errorf("version %.20q is not 3.1, 3.1.1 or 5.0", name)
		}
		cfg.Versions = append(cfg.Versions, v)
	}
	return cfg, nil
}

func off(b *bool) bool { return b != nil && !*b }

// logger returns where the broker logs to.
func (c *config) logger(to *os.File) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Log.Level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}

// fixed returns the names of the settings in which o differs and which a reload does not
// change.
func (c *config) fixed(o *config) (names []string) {
	differ := map[string]bool{
		"listeners": !slices.Equal(c.Listeners, o.Listeners), "passwords": c.Passwords != o.Passwords, "acl": c.ACL != o.ACL,
		"anonymous": c.Anonymous != o.Anonymous, "store": c.Store != o.Store, "shutdown": c.Shutdown != o.Shutdown,
		"origins": !slices.Equal(c.Origins, o.Origins), "tls": c.TLS != o.TLS, "health": c.Health != o.Health,
		"log": c.Log != o.Log, "limits": c.Limits != o.Limits, "features": fmt.Sprint(c.Features.plain()) != fmt.Sprint(o.Features.plain()),
	}
	for name, differs := range differ {
		if differs {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// plain returns the features without pointers.
func (f features) plain() []any {
	all := []any{f.Versions, f.StatusInterval, off(f.Retained), off(f.Wildcards), off(f.Shared), off(f.SubscriptionIDs)}
	if f.MaximumQoS != nil {
		all = append(all, *f.MaximumQoS)
	}
	return all
}
