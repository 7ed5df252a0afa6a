package bench

import (
	"bufio"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

const modulePath = "github.com/seed65a45251/mqtt"

func environment() Environment {
	return Environment{
		System:  runtime.GOOS + "/" + runtime.GOARCH,
		CPU:     processorName(),
		Cores:   runtime.GOMAXPROCS(0),
		Go:      runtime.Version(),
		Library: libraryVersion(),
	}
}

// processorName returns what Linux says of the first processor, or "".
func processorName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func libraryVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, d := range info.Deps {
		if d.Path == modulePath {
			if d.Replace != nil {
				return "source"
			}
			return d.Version
		}
	}
	return ""
}

// withoutSecrets returns a URL without user, password and query.
func withoutSecrets(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
