package bench

import "time"

// usage is what processors have done until a moment of the run.
type usage struct {
	at        time.Duration // since the start of the load
	process   time.Duration // for this process
	busy, all uint64        // for the machine, in ticks; all is zero where that is not known
}

func (l *load) usage() (u usage) {
	u.at = l.now()
	u.process, _ = processorTime()
	u.busy, u.all, _ = machineTime()
	return u
}

// since returns the processors that the process used on average, and the part of the
// machine's time that its processors worked.
func (u usage) since(before usage) (processors, machine float64) {
	if elapsed := u.at - before.at; elapsed > 0 {
		processors = (u.process - before.process).Seconds() / elapsed.Seconds()
	}
	if u.all > before.all {
		machine = float64(u.busy-before.busy) / float64(u.all-before.all)
	}
	return processors, machine
}
