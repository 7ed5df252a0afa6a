package hostile

import (
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"time"
)

// Victim is what the process under attack can be asked. One of broker and client is
// set.
type Victim struct {
	broker *brokerVictim
	client *clientVictim
	meter  meter
}

// Report are the figures of a victim.
type Report struct {
	Resident   int // bytes in memory now
	Peak       int // bytes in memory at most since Rest
	Live       int // bytes of the heap in use after a collection
	Goroutines int
	Broker     *BrokerReport
	Client     *ClientReport
}

// exceeded is the exit code of a victim that took more than its ceiling.
const exceeded = 3

// serveVictim answers the parent until that closes the pipe, or is gone.
func serveVictim() {
	ceiling, err := strconv.Atoi(os.Getenv(victimVariable))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go watchMemory(ceiling)
	server := rpc.NewServer()
	if err := server.Register(new(Victim)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server.ServeCodec(jsonrpc.NewServerCodec(&pipes{lifeline{os.Stdin}, os.Stdout}))
}

// lifeline ends the process when it cannot be read any more: the parent has closed its
// end, or has died. What the victim is asked meanwhile may never return.
type lifeline struct{ io.ReadCloser }

func (l lifeline) Read(b []byte) (int, error) {
	n, err := l.ReadCloser.Read(b)
	if err != nil {
		os.Exit(0)
	}
	return n, nil
}

// Hang never returns.
func (*Victim) Hang(struct{}, *struct{}) error { select {} }

// watchMemory protects the machine.
func watchMemory(ceiling int) {
	for {
		if now := managed(); now > ceiling {
			fmt.Fprintf(os.Stderr, "took more than %d MiB of memory", ceiling>>20)
			os.Exit(exceeded)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// managed returns the bytes that the Go runtime has from the system.
func managed() int {
	samples := [2]metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples[:])
	return int(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}

// Rest gives back what is not needed, and begins to look for the peak. The reply is
// the state of rest.
func (v *Victim) Rest(_ struct{}, reply *Report) error {
	debug.FreeOSMemory()
	if err := v.meter.reset(); err != nil {
		return err
	}
	return v.Report(struct{}{}, reply)
}

// Report returns the figures of the moment.
func (v *Victim) Report(_ struct{}, reply *Report) error {
	var err error
	if reply.Peak, err = v.meter.peak(); err != nil {
		return err
	}
	runtime.GC()
	if reply.Resident, err = v.meter.now(); err != nil {
		return err
	}
	samples := [1]metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples[:])
	reply.Live = int(samples[0].Value.Uint64())
	reply.Goroutines = runtime.NumGoroutine()
	if v.broker != nil {
		reply.Broker = v.broker.report()
	}
	if v.client != nil {
		reply.Client = v.client.report()
	}
	return nil
}
