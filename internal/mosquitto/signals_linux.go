package mosquitto

import (
	"os/exec"
	"syscall"
)

const supported = true

const (
	sigSave   = syscall.SIGUSR1
	sigPause  = syscall.SIGSTOP
	sigResume = syscall.SIGCONT
)

// endWithParent makes the process end with the thread that starts it: a test binary
// that is killed, for example at its time limit, runs no cleanup.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
