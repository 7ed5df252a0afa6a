package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{TLS: true})
	ca, cert, key := files(t, server)
	url := server.TLSURL()
	run := func(args ...string) *process {
		return mqtt(t, append([]string{"pub", "a", "x", "-q", "1"}, args...)...)
	}
	run("-L", url, "--cafile", ca, "--cert", cert, "--key", key).succeeds()

	p := run("-L", url, "--cert", cert, "--key", key, "--insecure")
	p.succeeds()
	require.Contains(t, p.stderr.String(), "--insecure: the server's certificate is not checked")

	host, port, _ := strings.Cut(server.TLSAddr(), ":")
	run("-h", host, "-p", port, "--ca", ca, "--cert", cert, "--key", key).succeeds() // options of TLS mean TLS

	for _, args := range [][]string{
		{"-L", url, "--cert", cert, "--key", key}, // an unknown authority
		{"-L", url, "--ca", ca},                   // no certificate of the client
		{"-L", url, "--ca", ca, "--cert", cert, "--key", key, "--server-name", "other.example"}, // another name
	} {
		require.Equal(t, 3, run(args...).wait(), args)
	}
}

// files writes the authority of the server's certificate, and a certificate for clients.
func files(t *testing.T, server *mosquitto.Server) (ca, cert, key string) {
	conn, err := tls.Dial("tcp", server.TLSAddr(), server.ClientTLS())
	require.NoError(t, err)
	defer conn.Close()
	chain := conn.ConnectionState().VerifiedChains[0]
	client := server.ClientTLS().Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(client.PrivateKey)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	return write("ca", "CERTIFICATE", chain[len(chain)-1].Raw), write("cert", "CERTIFICATE", client.Certificate[0]), write("key", "PRIVATE KEY", private)
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{Unix: true})
	mqtt(t, "pub", server.UnixURL(), "a", "x", "-q", "1").succeeds()
	mqtt(t, "pub", "-h", server.UnixPath(), "a", "x", "-q", "1").succeeds()
}

func TestHeaderAndProxy(t *testing.T) {
	t.Parallel()
	asked := make(chan *http.Request, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	p := mqtt(t, "pub", strings.Replace(server.URL, "http", "ws", 1)+"/path", "a", "x", "--header", "X-Token: abc")
	require.Equal(t, 3, p.wait())
	require.Contains(t, p.stderr.String(), "418")
	request := <-asked
	require.Equal(t, "abc", request.Header.Get("X-Token"))
	require.Equal(t, "/path", request.URL.Path)

	p = mqtt(t, "pub", "mqtt://broker.example", "a", "x", "--proxy", server.URL)
	require.Equal(t, 3, p.wait())
	request = <-asked
	require.Equal(t, http.MethodConnect, request.Method)
	require.Equal(t, "broker.example:1883", request.Host)
}

func TestWill(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	watcher := mqtt(t, "sub", server.URL(), "will", "-C", "1", "-F", "%t %p %C %q", "-q", "1", "-dd").says("SUBACK")
	dying := mqtt(t, "sub", server.URL(), "a", "-dd", "--will-topic", "will", "--will-payload", "hex:676f6e65",
		"--will-content-type", "text/plain", "--will-qos", "1").says("SUBACK")
	require.NoError(t, dying.cmd.Process.Kill())
	require.Equal(t, "will gone text/plain 1\n", watcher.succeeds())
}

// The server keeps what comes between two runs with --resume.
func TestResume(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	for version := range versions {
		args := []string{"sub", server.URL(), "kept", "-q", "1", "-i", "archive" + strings.ReplaceAll(version, ".", ""), "-c", "-V", version}
		mqtt(t, append(args, "-E")...).succeeds()
		mqtt(t, "pub", server.URL(), "kept", version, "-q", "1").succeeds()
		require.Equal(t, version+"\n", mqtt(t, append(args, "-C", "1")...).succeeds())
	}
}
