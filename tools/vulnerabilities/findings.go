package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
)

// finding is one way to a vulnerability.
type finding struct {
	ID    string `json:"osv"`
	Fixed string `json:"fixed_version"`
	Trace []struct {
		Module   string `json:"module"`
		Version  string `json:"version"`
		Package  string `json:"package"`
		Function string `json:"function"`
	} `json:"trace"`
}

// findings are what govulncheck has found in one module, one of each vulnerability.
type findings map[string]finding

// read takes the findings from the output of govulncheck in JSON.
func read(output []byte) (findings, error) {
	found := make(findings)
	for d := json.NewDecoder(bytes.NewReader(output)); ; {
		var message struct {
			Finding *finding `json:"finding"`
		}
		if err := d.Decode(&message); err == io.EOF {
			return found, nil
		} else if err != nil {
			return nil, err
		}
		f := message.Finding
		if f == nil || len(f.Trace) == 0 {
			continue
		}
		if known, again := found[f.ID]; !again || !known.isReached() {
			found[f.ID] = *f // the worst is told last
		}
	}
}

// isReached says that code of the module leads to the vulnerable function.
func (f *finding) isReached() bool { return f.Trace[0].Function != "" }

// isGo says that the cure is another release of Go.
func (f *finding) isGo() bool {
	return f.Trace[0].Module == "stdlib" || f.Trace[0].Module == "toolchain"
}

// print lists the findings, and returns how many are reached in required modules.
func (all findings) print(directory string, w io.Writer) (reached int) {
	ofGo := 0
	for _, id := range slices.Sorted(maps.Keys(all)) {
		f := all[id]
		what := "required only"
		switch {
		case f.isGo():
			if f.isReached() {
				ofGo++
			}
			continue
		case f.isReached():
			what = "REACHED"
			reached++
		}
		fmt.Fprintf(w, "%s: %s in %s %s, fixed in %q: %s\n", directory, id, f.Trace[0].Module, f.Trace[0].Version, f.Fixed, what)
	}
	fmt.Fprintf(w, "%s: %d reached in required modules, %d in the Go release\n", directory, reached, ofGo)
	return reached
}
