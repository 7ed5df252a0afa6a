package main

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
)

// host is the machine of a run.
type host struct {
	CPU       string `json:"cpu"`
	Cores     int    `json:"cores"`
	Memory    string `json:"memory"`
	Kernel    string `json:"kernel"`
	GoVersion string `json:"go"`
}

func goVersion() string { return runtime.Version() }

func cores() int { return runtime.GOMAXPROCS(0) }

// hostOf names the machine.
func hostOf() host {
	h := host{GoVersion: goVersion(), Cores: cores()}
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	h.CPU = fieldOf(cpu, "model name")
	memory, _ := os.ReadFile("/proc/meminfo")
	h.Memory = fieldOf(memory, "MemTotal")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	h.Kernel = string(bytes.TrimSpace(kernel))
	return h
}

// fieldOf returns the value of the first "name : value" line.
func fieldOf(text []byte, name string) string {
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		if string(bytes.TrimSpace(key)) == name {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

// versions of what is measured, as far as it can be known.
func versions(samples []sample) map[string]string {
	v := make(map[string]string)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if libraries[m.Path] {
				v[m.Path] = m.Version
			}
		}
	}
	for _, s := range samples {
		if s.Version != "" {
			v[s.Client] = s.Version
		}
	}
	if m := mosquittoVersion(); m != "" {
		v["mosquitto"] = m
	}
	return v
}

// commit of the repository around this module, if there is one.
func commit() string {
	hash, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return ""
	}
	name := strings.TrimSpace(string(hash))
	if changes, err := exec.Command("git", "status", "--porcelain").Output(); err != nil || len(changes) > 0 {
		name += "+"
	}
	return name
}
