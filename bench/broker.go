package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// findMosquitto also looks where Debian puts it, which is not in every PATH.
func findMosquitto() (string, error) {
	if path, err := exec.LookPath("mosquitto"); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/mosquitto")
}

func mosquittoVersion() string {
	path, err := findMosquitto()
	if err != nil {
		return ""
	}
	help, _ := exec.Command(path, "-h").Output() // says 3 all the same
	line, _, _ := strings.Cut(string(help), "\n")
	return strings.TrimPrefix(line, "mosquitto version ")
}

// mosquittoSettings leave no limit that would be measured instead of a client.
const mosquittoSettings = `listener %s 127.0.0.1
allow_anonymous true
persistence false
log_type none
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
`

// startMosquitto runs Mosquitto on a free port until stop is called.
func startMosquitto() (addr string, stop func(), err error) {
	path, err := findMosquitto()
	if err != nil {
		return "", nil, errors.New("mosquitto is missing")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = ln.Addr().String()
	ln.Close() // the port stays free for long enough
	dir, err := os.MkdirTemp("", "mqtt-bench-")
	if err != nil {
		return "", nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	file := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, mosquittoSettings, port), 0o644); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	cmd := exec.Command(path, "-c", file)
	if err := cmd.Start(); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
		os.RemoveAll(dir)
	}
	for range 500 {
		if nc, err := net.Dial("tcp", addr); err == nil {
			nc.Close()
			return addr, stop, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("mosquitto does not listen")
}
