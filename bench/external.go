package main

import (
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// sources are the clients in C. Like the one in JavaScript they take the arguments
// of external.arguments and print a sample.
//
//go:embed c/*.c c/*.h
var sources embed.FS

// external is a client in another language. prepare runs once; its error says
// why the client is skipped.
type external struct {
	prepare func() (command []string, err error)
}

func externalClients() []entry {
	kinds := []kind{publishing0, async, sequential, receiving}
	comeback := append(kinds[:len(kinds):len(kinds)], returning)
	// libmosquitto is no WebSocket client.
	noWebSocket := func(s *scenario) bool { return s.transport != overWebSocket }
	// Paho C 1.3.12 stops making progress when messages of 1 MiB queue up.
	small := func(s *scenario) bool { return s.size < 1<<20 || s.kind != publishing0 }
	return []entry{
		{name: "libmosquitto", role: peer, kinds: comeback, only: noWebSocket, external: compiled("mosquitto.c", "-lmosquitto")},
		{name: "paho-c", role: peer, kinds: kinds, only: small, external: compiled("paho.c", "-lpaho-mqtt3as")},
		{name: "paho-c", role: peer, kinds: []kind{durable}, stores: true, external: compiled("paho.c", "-lpaho-mqtt3as")},
		{name: "paho-c-nostore", role: unstored, kinds: []kind{durable}, external: compiled("paho.c", "-lpaho-mqtt3as")},
		{name: "mqtt.js", role: peer, kinds: comeback, external: scripted()},
	}
}

func (e *external) arguments(j *job) []string {
	host, port, _ := net.SplitHostPort(j.addr)
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
	return []string{
		string(j.kind), host, port, topic, strconv.Itoa(int(j.qos)), strconv.Itoa(j.size),
		strconv.Itoa(window), seconds(j.warmup), seconds(j.duration), string(j.transport), j.certificate, strconv.Itoa(j.goroutines), j.dir,
	}
}

// compiled builds a C client in a temporary directory.
func compiled(source string, libraries ...string) *external {
	return &external{prepare: sync.OnceValues(func() ([]string, error) {
		gcc, err := exec.LookPath("gcc")
		if err != nil {
			return nil, errors.New("gcc is missing")
		}
		dir, err := os.MkdirTemp("", "mqtt-bench-")
		if err != nil {
			return nil, err
		}
		temporary = append(temporary, dir)
		if err := os.CopyFS(dir, sources); err != nil {
			return nil, err
		}
		program := filepath.Join(dir, source+".out")
		args := append([]string{"-O2", "-o", program, filepath.Join(dir, "c", source), "-lpthread"}, libraries...)
		if _, err := exec.Command(gcc, args...).Output(); err != nil {
			return nil, fmt.Errorf("does not compile, are the headers of %v installed?", libraries)
		}
		return []string{program}, nil
	})}
}

// temporary are directories to remove at the end.
var temporary []string

// scripted runs the JavaScript client with the packages of the js directory.
func scripted() *external {
	return &external{prepare: sync.OnceValues(func() ([]string, error) {
		node, err := exec.LookPath("node")
		if err != nil {
			return nil, errors.New("node is missing")
		}
		if _, err := os.Stat("js/node_modules/mqtt"); err != nil {
			return nil, errors.New("js/node_modules is missing, run npm ci in js")
		}
		return []string{node, "js/client.cjs"}, nil
	})}
}
