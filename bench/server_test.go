package main

import (
	"net"
	"testing"
	"time"
)

// TestServersAnswer runs every kind of exchange with raw clients in this
// process, over every transport: what the sink counts is what was sent, and what
// the firehose sends arrives in order.
func TestServersAnswer(t *testing.T) {
	secrets := t.TempDir()
	if err := makeCertificate(secrets); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pub0-256", "async1-256", "async2-256", "recv0-256", "recv1-256", "recv2-256",
		"pub0-256-tls", "async1-256-tls", "recv0-256-tls", "recv1-256-tls", "pub0-256-ws", "async1-256-ws", "recv0-256-ws", "recv1-256-ws",
		"load1-10", "load1-90"} {
		t.Run(name, func(t *testing.T) {
			checkExchange(t, name, openRaw(batched), secrets)
		})
	}
}

// checkExchange runs a scenario with a client in this process and compares what both
// sides have seen.
func checkExchange(t *testing.T, name string, open func(*job) (client, error), secrets string) {
	t.Helper()
	sc, err := findScenario(name)
	if err != nil {
		t.Fatal(err)
	}
	settings := sc.serverSettings()
	settings.secrets = secrets
	s, err := newServer(settings)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.wg.Go(func() { s.accept(ln) })
	j := &job{scenario: sc, addr: ln.Addr().String(), certificate: certificateFile(secrets), clientID: "test", payload: make([]byte, sc.size),
		warmup: time.Millisecond, duration: 5 * time.Millisecond, measured: func() error { return nil }}
	e := entry{name: "tested", open: open}
	got, err := measure(&e, j)
	ln.Close()
	s.end()
	s.wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	// A receiver has had a message before; how many come in such a time depends on the machine.
	if got.Messages == 0 && s.kind != "firehose" || s.report.Errors != 0 || s.report.Disorder != 0 || got.Lost != 0 {
		t.Errorf("%d messages, %d out of place, server: %+v", got.Messages, got.Lost, s.report)
	}
	if got.Total != 0 && got.Total != s.report.Published {
		t.Errorf("published %d, the sink saw %d", got.Total, s.report.Published)
	}
	if s.kind == "firehose" && s.report.Sent == 0 {
		t.Error("the firehose sent nothing")
	}
}
