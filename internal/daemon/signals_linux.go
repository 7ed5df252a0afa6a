package daemon

import (
	"os/exec"
	"syscall"
)

// Supported says whether servers can be run here.
const Supported = true

// The signals of Unix that syscall does not have on every system.
const (
	Save   = syscall.SIGUSR1
	Pause  = syscall.SIGSTOP
	Resume = syscall.SIGCONT
)

// endWithParent makes the process end with the thread that starts it: a test binary
// that is killed, for example at its time limit, runs no cleanup.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
