package broker

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
)

// running is a broker command that runs.
type running struct {
	t       *testing.T
	listens map[string]string // URLs by their scheme
	end     context.CancelFunc
	done    chan error
	reload  chan os.Signal
	log     *bufio.Scanner // what it logs, as lines
}

// start runs the broker with a configuration in dir.
func start(t *testing.T, dir, config string) *running {
	t.Helper()
	path := filepath.Join(dir, "broker.toml")
	write(t, path, config)
	f := &flags{config: path}
	c, err := f.settings()
	require.NoError(t, err)
	said, say := io.Pipe()
	logs, log, err := os.Pipe()
	require.NoError(t, err)
	r := &running{t: t, listens: map[string]string{}, done: make(chan error, 1), reload: make(chan os.Signal), log: bufio.NewScanner(logs)}
	s := &server{config: c, again: f.settings, log: c.logger(log), told: say}
	ctx, cancel := context.WithCancel(t.Context())
	r.end = cancel
	go func() {
		err := s.serve(ctx, r.reload)
		say.CloseWithError(errors.Join(err, io.EOF))
		log.Close()
		r.done <- err
	}()
	lines := bufio.NewScanner(said)
	expected := len(c.Listeners)
	if c.Health.Listen != "" {
		expected++
	}
	for len(r.listens) < expected {
		require.True(t, lines.Scan(), "it ended: %v", lines.Err())
		words := strings.Fields(lines.Text())
		url := words[len(words)-1]
		scheme, _, _ := strings.Cut(url, "://")
		r.listens[scheme] = url
	}
	t.Cleanup(r.stop)
	return r
}

func (r *running) stop() {
	r.end()
	if r.done != nil {
		require.NoError(r.t, <-r.done)
		r.done = nil
	}
}

// reloaded makes the broker read its files again, and waits until it has said so. It
// returns what it has logged.
func (r *running) reloaded(end string) (lines []string) {
	r.t.Helper()
	r.reload <- syscall.SIGHUP
	for r.log.Scan() {
		lines = append(lines, r.log.Text())
		if strings.Contains(r.log.Text(), end) {
			return lines
		}
	}
	require.Fail(r.t, "it logged no line with "+end)
	return nil
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func connect(t *testing.T, url string, cfg mqtt.Config) (*mqtt.Client, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := mqtt.Connect(ctx, url, cfg)
	if err == nil {
		t.Cleanup(func() { client.Close() })
	}
	return client, err
}

// hashed returns the line of a user, as "mqtt broker password" prints it.
func hashed(t *testing.T, user, password string) string {
	t.Helper()
	var out strings.Builder
	cmd := passwordCommand()
	cmd.SetIn(strings.NewReader(password + "\n"))
	cmd.SetOut(&out)
	cmd.SetArgs([]string{user})
	require.NoError(t, cmd.Execute())
	return out.String()
}

func TestPasswordsAndRulesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "passwords"), hashed(t, "alice", "first"))
	write(t, filepath.Join(dir, "acl"), "user alice\ntopic readwrite mine/#\n")
	r := start(t, dir, `
passwords = "passwords"
acl = "acl"
[[listeners]]
url = "mqtt://127.0.0.1:0"
`)
	client, err := connect(t, r.listens["mqtt"], mqtt.Config{Username: "alice", Password: "first"})
	require.NoError(t, err)
	require.NoError(t, client.Publish(t.Context(), "mine/a", nil, mqtt.AtLeastOnce))
	require.ErrorIs(t, client.Publish(t.Context(), "other", nil, mqtt.AtLeastOnce), mqtt.NotAuthorized)
	_, err = connect(t, r.listens["mqtt"], mqtt.Config{})
	require.Error(t, err, "without a name")

	write(t, filepath.Join(dir, "passwords"), hashed(t, "alice", "second"))
	write(t, filepath.Join(dir, "acl"), "user alice\ntopic readwrite other\n")
	r.reloaded("reloaded")
	require.ErrorIs(t, client.Publish(t.Context(), "mine/a", nil, mqtt.AtLeastOnce), mqtt.NotAuthorized)
	require.NoError(t, client.Publish(t.Context(), "other", nil, mqtt.AtLeastOnce))
	_, err = connect(t, r.listens["mqtt"], mqtt.Config{Username: "alice", Password: "first"})
	require.Error(t, err)
	_, err = connect(t, r.listens["mqtt"], mqtt.Config{Username: "alice", Password: "second"})
	require.NoError(t, err)

	// A file that cannot be read changes nothing, and what needs a restart is named.
	write(t, filepath.Join(dir, "acl"), "nonsense\n")
	write(t, filepath.Join(dir, "broker.toml"), "passwords = \"passwords\"\nacl = \"acl\"\n[[listeners]]\nurl = \"mqtt://127.0.0.1:0\"\n[limits]\nconnections = 5\n")
	lines := strings.Join(r.reloaded("need a restart"), "\n")
	require.Contains(t, lines, "what was read before holds")
	require.Contains(t, lines, "[limits]")
	require.NoError(t, client.Publish(t.Context(), "other", nil, mqtt.AtLeastOnce))
}

func TestSessionsSurviveInTheStore(t *testing.T) {
	dir := t.TempDir()
	const config = "store = \"broker.db\"\n[[listeners]]\nurl = \"mqtt://127.0.0.1:0\"\n"
	r := start(t, dir, config)
	client, err := connect(t, r.listens["mqtt"], mqtt.Config{ClientID: "reader", Resume: true})
	require.NoError(t, err)
	_, err = client.Subscribe(t.Context(), "kept", mqtt.AtLeastOnce)
	require.NoError(t, err)
	require.NoError(t, client.Disconnect(t.Context()))
	require.NoError(t, mqtt.PublishOnce(t.Context(), r.listens["mqtt"], mqtt.Config{}, &mqtt.Message{Topic: "kept", Payload: []byte("x"), QoS: 1}))
	r.stop()

	r = start(t, dir, config)
	client, err = connect(t, r.listens["mqtt"], mqtt.Config{ClientID: "reader", Resume: true})
	require.NoError(t, err)
	sub, err := client.Route("kept")
	require.NoError(t, err)
	m, err := sub.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, "x", string(m.Payload))
}

func TestListenersHealthAndALeftSocket(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	stale, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	require.NoError(t, syscall.Bind(stale, &syscall.SockaddrUnix{Name: socket}))
	require.NoError(t, syscall.Close(stale)) // the file stays
	r := start(t, dir, `
[[listeners]]
url = "unix://`+socket+`"
[[listeners]]
url = "ws://127.0.0.1:0"
[health]
listen = "127.0.0.1:0"
`)
	for _, url := range []string{r.listens["ws"] + "/mqtt", "unix://" + socket} {
		client, err := connect(t, url, mqtt.Config{})
		require.NoError(t, err, url)
		require.NoError(t, client.Publish(t.Context(), "t", nil, mqtt.ExactlyOnce))
	}
	get := func(path string) (int, string) {
		response, err := http.Get(r.listens["http"] + path)
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(text)
	}
	for _, path := range []string{"/livez", "/readyz"} {
		code, _ := get(path)
		require.Equal(t, http.StatusOK, code, path)
	}
	_, stats := get("/stats")
	require.Contains(t, stats, `"Received": 2`)
}

// certificate writes a certificate for localhost and its key, signed by itself.
func certificate(t *testing.T, dir, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	write(t, filepath.Join(dir, name+".crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(dir, name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return parsed
}

func TestCertificatesAreReloadedAndNameClients(t *testing.T) {
	dir := t.TempDir()
	first := certificate(t, dir, "server")
	certificate(t, dir, "device")
	write(t, filepath.Join(dir, "acl"), "user device\ntopic readwrite device/#\n")
	r := start(t, dir, `
acl = "acl"
[[listeners]]
url = "mqtts://127.0.0.1:0"
[tls]
certificate = "server.crt"
key = "server.key"
client_ca = "device.crt"
require_client_certificate = true
client_certificate_names = true
`)
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "device.crt"), filepath.Join(dir, "device.key"))
	require.NoError(t, err)
	trusting := func(server *x509.Certificate, with ...tls.Certificate) mqtt.Config {
		roots := x509.NewCertPool()
		roots.AddCert(server)
		return mqtt.Config{TLS: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: with}}
	}
	_, err = connect(t, r.listens["mqtts"], trusting(first))
	require.Error(t, err, "without a certificate")
	client, err := connect(t, r.listens["mqtts"], trusting(first, own))
	require.NoError(t, err)
	require.NoError(t, client.Publish(t.Context(), "device/1", nil, mqtt.AtLeastOnce))
	require.ErrorIs(t, client.Publish(t.Context(), "else", nil, mqtt.AtLeastOnce), mqtt.NotAuthorized)

	second := certificate(t, dir, "server")
	r.reloaded("reloaded")
	_, err = connect(t, r.listens["mqtts"], trusting(first, own))
	require.Error(t, err)
	_, err = connect(t, r.listens["mqtts"], trusting(second, own))
	require.NoError(t, err)
}

func TestMistakesInTheConfigurationAreNamed(t *testing.T) {
	for config, want := range map[string]string{
		"colour = 1":                                "unknown setting colour",
		"[limits]\nmemory = \"lots\"":               "not a size",
		"[limits]\nmemory = \"-1MiB\"":              "not a size",
		"shutdown = \"10\"":                         "missing unit",
		"[[listeners]]\nurl = \"http://a\"":         "not mqtt, mqtts, ws, wss or unix",
		"[[listeners]]\nurl = \"mqtts://a\"":        "needs a certificate",
		"[[listeners]]\nurl = \"mqtt://a/b\"":       "a path belongs to ws",
		"[[listeners]]\nurl = \"mqtt://u:p@a\"":     "no user and no password",
		"[[listeners]]\nurl = \"unix://\"":          "names no socket",
		"[tls]\ncertificate = \"c\"":                "both certificate and key",
		"[tls]\nrequire_client_certificate = true":  "needs client_ca",
		"acl = \"acl\"":                             "needs anonymous",
		"[log]\nformat = \"xml\"":                   "neither text nor json",
		"[[listeners]]\nurl = \"mqtt://0.0.0.0:0\"": "open to everybody",
		"[features]\nversions = [\"4\"]":            "not 3.1, 3.1.1 or 5.0",
		"passwords = \"absent\"":                    "absent",
	} {
		t.Run(want, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "broker.toml")
			write(t, path, config)
			f := &flags{config: path}
			c, err := f.settings()
			if err == nil {
				s := &server{config: c, again: f.settings, log: c.logger(os.Stderr), told: io.Discard}
				err = s.serve(t.Context(), nil)
			} else {
				err = exit.With(exit.Usage, err)
			}
			require.ErrorContains(t, err, want)
			require.Equal(t, exit.Usage, exit.Code(err))
		})
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "17": 17, "5 B": 5, "1KiB": 1024, "16 MiB": 16 << 20, "2GB": 2e9, "3kB": 3000} {
		var s size
		require.NoError(t, s.UnmarshalText([]byte(text)), text)
		require.Equal(t, want, int(s), text)
	}
	for _, text := range []string{"", "x", "1.5MiB", "9999999999GiB", "-1"} {
		require.Error(t, new(size).UnmarshalText([]byte(text)), text)
	}
}
