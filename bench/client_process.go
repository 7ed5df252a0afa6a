package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
)

// runAsClient is a client process.
func runAsClient(args []string) error {
	f := flag.NewFlagSet("client", flag.ContinueOnError)
	scenarioName := f.String("scenario", "", "")
	clientName := f.String("client", "", "")
	profiles := f.String("profile", "", "")
	j := &job{clientID: "bench"}
	f.StringVar(&j.addr, "addr", "", "")
	f.StringVar(&j.certificate, "certificate", "", "")
	f.StringVar(&j.dir, "dir", "", "")
	fills := f.Bool("fill", false, "")
	f.DurationVar(&j.warmup, "warmup", 0, "")
	f.DurationVar(&j.duration, "duration", 0, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	var err error
	if j.scenario, err = findScenario(*scenarioName); err != nil {
		return err
	}
	i := slices.IndexFunc(clients(), func(e entry) bool { return e.name == *clientName && e.takesPart(&j.scenario) })
	if i < 0 {
		return fmt.Errorf("no client %q for %s", *clientName, *scenarioName)
	}
	j.payload = make([]byte, j.size)
	for i := range j.payload {
		j.payload[i] = byte(i)
	}
	if j.size >= 4 {
		binary.BigEndian.PutUint32(j.payload, 0)
	}
	if *fills {
		return fill(j)
	}
	profiling := &profiling{dir: *profiles, name: *scenarioName + "." + *clientName}
	j.measured = profiling.start
	s, err := measure(&clients()[i], j)
	if err := errors.Join(err, profiling.stop()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}
