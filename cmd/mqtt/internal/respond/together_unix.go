//go:build unix

package respond

import (
	"os/exec"
	"syscall"
)

// together lets the processes that c starts end with it. It also keeps the terminal's
// interrupt from them: requests that have come are still answered.
func together(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
}
