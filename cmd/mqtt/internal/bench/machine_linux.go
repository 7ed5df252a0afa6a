package bench

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// machineTime returns how long all processors of the machine have worked, and how long
// they have existed, in ticks.
func machineTime() (busy, all uint64, ok bool) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0, 0, false
	}
	defer f.Close()
	line := bufio.NewScanner(f)
	if !line.Scan() {
		return 0, 0, false
	}
	// cpu user nice system idle iowait irq softirq steal; what guests used is in user.
	fields := strings.Fields(line.Text())
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0, false
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, 0, false
		}
		all += n
		if i != 3 && i != 4 {
			busy += n
		}
	}
	return busy, all, true
}
