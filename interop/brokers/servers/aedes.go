package servers

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// aedesDir is the directory js of this module, where npm has installed aedes.
func aedesDir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "js")
}

// aedesVersion is in its manifest.
func aedesVersion() (string, error) {
	manifest, err := os.ReadFile(filepath.Join(aedesDir(), "node_modules", "aedes", "package.json"))
	if err != nil {
		return "", fmt.Errorf("%w: run npm ci in interop/brokers/js", errMissing)
	}
	var aedes struct{ Version string }
	err = json.Unmarshal(manifest, &aedes)
	return aedes.Version, err
}

// startAedes runs aedes with its persistence in LevelDB.
func startAedes(s *Server) (runner, error) {
	if _, err := aedesVersion(); err != nil {
		return nil, err
	}
	config, err := json.Marshal(linkedConfig{Dir: s.dir, Ports: s.ports, Opts: s.opts})
	if err != nil {
		return nil, err
	}
	return &program{server: s, command: func() *exec.Cmd {
		return exec.Command("node", filepath.Join(aedesDir(), "server.cjs"), string(config))
	}}, nil
}
