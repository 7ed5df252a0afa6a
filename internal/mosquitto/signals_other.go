//go:build !linux

package mosquitto

import (
	"os"
	"os/exec"
)

// Tests are skipped on systems that do not have the signals, or on which they were
// not tried.
const supported = false

var sigSave, sigPause, sigResume os.Signal = os.Kill, os.Kill, os.Kill

func endWithParent(*exec.Cmd) {}
