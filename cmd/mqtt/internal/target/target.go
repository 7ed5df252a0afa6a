package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
)

// Target is a server and how to connect to it. Both may have secrets.
type Target struct {
	Server string
	Config mqtt.Config
	// Notes is told when the connection is lost and found again. If nil, nothing is.
	Notes func(format string, args ...any)
}

// Connect connects and gives the error its exit code.
func (t *Target) Connect(ctx context.Context) (*mqtt.Client, error) {
	client, err := mqtt.Connect(ctx, t.Server, t.Config)
	switch {
	case err == nil:
		if t.Notes != nil {
			go t.watch(client)
		}
		return client, nil
	case ctx.Err() != nil:
		// What ended the wait decides, not what the last attempt has met.
		return nil, exit.With(exit.Code(context.Cause(ctx)), err)
	case errors.Is(err, mqtt.ErrInvalid):
		return nil, exit.With(exit.Usage, err)
	}
	return nil, exit.With(exit.Connection, err)
}

// watch tells what happens to the connection, until the client ends.
func (t *Target) watch(client *mqtt.Client) {
	lost := false
	for event := range client.Watch(context.Background()) {
		switch {
		case event.State == mqtt.Reconnecting && !lost:
			lost = true
			t.Notes("connection lost: %v; trying again", event.Err)
		case event.State == mqtt.Connected && lost:
			lost = false
			t.Notes("connected again")
		}
	}
}

// Target returns what the options say. It may ask for a password, and ctx ends that.
func (f *Flags) Target(ctx context.Context) (*Target, error) {
	if err := f.fill(); err != nil {
		return nil, err
	}
	return f.resolve(ctx)
}

// resolve turns the options as they are now into a Target.
func (f *Flags) resolve(ctx context.Context) (*Target, error) {
	t := &Target{Config: f.config(), Notes: f.Note}
	if err := f.setServer(t); err != nil {
		return nil, err
	}
	if err := f.setTLS(&t.Config); err != nil {
		return nil, err
	}
	if err := f.setHeader(&t.Config); err != nil {
		return nil, err
	}
	if err := f.setWill(&t.Config); err != nil {
		return nil, err
	}
	return t, f.setPassword(ctx, &t.Config)
}

// Named returns the server with that URL or that profile, for commands with several
// servers. cmd is the command that asks. Options of the connection in the environment are
// left out: they would be those of all servers.
func Named(ctx context.Context, cmd *cobra.Command, name string) (*Target, error) {
	if !IsURL(name) {
		return Profile(ctx, cmd, name)
	}
	f := Add(&cobra.Command{})
	f.cmd.SetErr(cmd.ErrOrStderr())
	f.TakeURL([]string{name})
	return f.resolve(ctx)
}

// Profile returns what the profile of that name says, for commands with several servers.
// cmd is the command that asks.
func Profile(ctx context.Context, cmd *cobra.Command, name string) (*Target, error) {
	f := Add(&cobra.Command{})
	f.cmd.SetErr(cmd.ErrOrStderr())
	f.profile = name
	if flag := cmd.Flags().Lookup("profiles"); flag != nil {
		f.profiles = flag.Value.String()
	}
	if f.profiles == "" {
		f.profiles = os.Getenv(environmentName("profiles"))
	}
	profile, err := f.chosenProfile()
	if err != nil {
		return nil, err
	}
	if err := f.apply(profile, nil); err != nil {
		return nil, err
	}
	return f.resolve(ctx)
}

// config returns the settings that need no work.
func (f *Flags) config() mqtt.Config {
	cfg := mqtt.Config{
		Version: mqtt.Version(f.version), ClientID: f.clientID, Username: f.username,
		Resume: f.resume, SessionExpiry: time.Duration(f.sessionExpiry.Duration), KeepAlive: time.Duration(f.keepAlive.Duration),
		ConnectTimeout: time.Duration(f.connectTimeout), RetryFirst: f.retry, UserProperties: f.properties,
		ReceiveMaximum: f.receiveMaximum, Inflight: int(f.inflight), MaximumPacketSize: f.maximumPacket,
		Proxy: f.proxy, LocalAddr: f.localAddr, Logger: f.logger(),
	}
	if f.resume && !f.sessionExpiry.Given {
		cfg.SessionExpiry = 24 * time.Hour
	}
	// Zero means a default to the library, and none to the user.
	if f.sessionExpiry.Given && cfg.SessionExpiry == 0 {
		cfg.SessionExpiry = -1
	}
	if f.keepAlive.Given && cfg.KeepAlive == 0 {
		cfg.KeepAlive = -1
	}
	if f.proxy == "environment" {
		cfg.Proxy = mqtt.ProxyFromEnvironment
	}
	return cfg
}

// logger returns where --debug logs to, or nil without it.
func (f *Flags) logger() *slog.Logger {
	if f.logging == 0 {
		return nil
	}
	level := slog.LevelDebug
	if f.logging > 1 {
		level = mqtt.LevelPacket
	}
	return slog.New(slog.NewTextHandler(f.cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
}

func (f *Flags) setServer(t *Target) error {
	if len(f.servers) > 0 {
		if f.host != "" || f.port != 0 || f.useTLS {
			return exit.Usagef("give either a URL or --host, --port and --tls")
		}
		t.Server, t.Config.Servers = f.servers[0], f.servers[1:]
		return nil
	}
	host := f.host
	if strings.HasPrefix(host, "/") {
		t.Server = (&url.URL{Scheme: "unix", Path: host}).String()
		return nil
	}
	if host == "" {
		host = "localhost"
	}
	u := url.URL{Scheme: "mqtt", Host: host}
	if f.useTLS || f.port == 8883 || f.wantsTLS() {
		u.Scheme = "mqtts"
	}
	if strings.Contains(host, ":") {
		u.Host = "[" + host + "]"
	}
	if f.port != 0 {
		u.Host = net.JoinHostPort(host, strconv.Itoa(int(f.port)))
	}
	t.Server = u.String()
	return nil
}

func (f *Flags) wantsTLS() bool {
	return f.ca != "" || f.cert != "" || f.serverName != "" || f.insecure || len(f.alpn) > 0
}

func (f *Flags) setTLS(cfg *mqtt.Config) error {
	if !f.wantsTLS() {
		if f.key != "" {
			return exit.Usagef("--key needs --cert")
		}
		return nil
	}
	cfg.TLS = &tls.Config{ServerName: f.serverName, InsecureSkipVerify: f.insecure, NextProtos: f.alpn}
	if f.insecure {
		f.Note("--insecure: the server's certificate is not checked, anybody could have answered")
	}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return exit.Usagef("--ca: %w", err)
		}
		cfg.TLS.RootCAs = x509.NewCertPool()
		if !cfg.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return exit.Usagef("--ca: %s has no certificate in PEM", f.ca)
		}
	}
	if f.cert != "" {
		key := f.key
		if key == "" {
			key = f.cert
		}
		certificate, err := tls.LoadX509KeyPair(f.cert, key)
		if err != nil {
			return exit.Usagef("--cert and --key: %w", err)
		}
		cfg.TLS.Certificates = []tls.Certificate{certificate}
	}
	return nil
}

func (f *Flags) setHeader(cfg *mqtt.Config) error {
	for _, h := range f.headers {
		name, v, ok := strings.Cut(h, ":")
		if !ok {
			return exit.Usagef(`--header must be "NAME: VALUE"`)
		}
		if cfg.Header == nil {
			cfg.Header = http.Header{}
		}
		cfg.Header.Add(strings.TrimSpace(name), strings.TrimSpace(v))
	}
	return nil
}

func (f *Flags) setWill(cfg *mqtt.Config) error {
	if f.willTopic == "" {
		for name, given := range f.given() {
			if given && strings.HasPrefix(name, "will-") {
				return exit.Usagef("--%s needs --will-topic", name)
			}
		}
		return nil
	}
	cfg.Will = &mqtt.Will{Message: f.will.Message(), DelayInterval: time.Duration(f.willDelay)}
	cfg.Will.Topic, cfg.Will.Payload = f.willTopic, f.willPayload
	return nil
}

// Redact returns a URL without its user, query and what else may be secret.
func Redact(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
