//go:build linux && !race

package hostile

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// raced says that the race detector takes memory of its own.
const raced = false

// meter reads what the process has in memory from the kernel, which keeps the peak.
type meter struct{}

// reset begins again with what is in memory now.
func (meter) reset() error { return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

func (meter) peak() (int, error) { return statusField("VmHWM:") }
func (meter) now() (int, error)  { return statusField("VmRSS:") }

// statusField returns a field of the process's status that is in kB, in bytes.
func statusField(name string) (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			kB, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
			return kB << 10, err
		}
	}
	return 0, fmt.Errorf("no %s", name)
}
