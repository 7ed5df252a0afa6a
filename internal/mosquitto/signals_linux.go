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

// endWithParent has the process killed with the thread that starts it: a test
// binary that dies, at its time limit for one, runs no cleanup.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
