// Command bench measures MQTT clients side by side: this library, its peers, and
// hand-written loops that show what the machine can do. README.md says how.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"time"
)

func main() {
	var err error
	role, args := "", os.Args[1:]
	if len(args) > 0 {
		role = args[0]
	}
	switch role {
	case "serve":
		err = serve(args[1:])
	case "client":
		err = runAsClient(args[1:])
	default:
		err = compare(args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// compare is what a person starts.
func compare(args []string) error {
	f := flag.NewFlagSet("bench", flag.ExitOnError)
	scenarioExpr := f.String("scenario", ".", "regular expression for scenarios")
	clientExpr := f.String("clients", ".", "regular expression for clients")
	rounds := f.Int("rounds", 5, "rounds of all clients, one after the other")
	duration := f.Duration("duration", 800*time.Millisecond, "measured in each run")
	warmup := f.Duration("warmup", 200*time.Millisecond, "before that")
	jsonFile := f.String("json", "", "write results to this file")
	svgFile := f.String("svg", "", "draw rates to this file")
	profiles := f.String("profile", "", "write CPU and allocation profiles of Go clients to this directory")
	list := f.Bool("list", false, "list scenarios with their clients")
	f.Parse(args)
	plans, notes, err := choose(*scenarioExpr, *clientExpr)
	if err != nil {
		return err
	}
	defer func() {
		for _, dir := range temporary {
			os.RemoveAll(dir)
		}
	}()
	for _, n := range notes {
		fmt.Println(n)
	}
	if *list {
		for _, p := range plans {
			fmt.Print(p.name, ":")
			for _, e := range p.entries {
				fmt.Print(" ", e.name)
			}
			fmt.Println()
		}
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r := &runner{self: self, duration: *duration, warmup: *warmup, profiles: *profiles}
	out := result{Time: time.Now().UTC(), Host: hostOf(), Commit: commit(), Rounds: *rounds, Duration: duration.Seconds(), Notes: notes}
	for _, p := range plans {
		var samples []sample
		r.rounds(ctx, []plan{p}, *rounds, func(s sample) {
			samples = append(samples, s)
			progress(fmt.Sprintf("%s %s round %d", s.Scenario, s.Client, s.Round+1))
		})
		progress("")
		s := summarize(samples, p.roles())
		table(os.Stdout, s)
		out.Samples = append(out.Samples, samples...)
		out.Summary = append(out.Summary, s...)
	}
	out.Versions = versions(out.Samples)
	fmt.Printf("\n%s, %d cores, %s, Linux %s, %s, commit %s\n", out.Host.CPU, out.Host.Cores, out.Host.Memory, out.Host.Kernel, out.Host.GoVersion, out.Commit)
	for _, name := range slices.Sorted(maps.Keys(out.Versions)) {
		fmt.Println(name, out.Versions[name])
	}
	if *jsonFile != "" {
		if err := out.write(*jsonFile); err != nil {
			return err
		}
	}
	if *svgFile != "" {
		if err := out.writePlot(*svgFile); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// progress shows what was done last, to a person only.
func progress(what string) {
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintf(os.Stderr, "\r%-60s\r", what)
	}
}

// choose makes the plans of a run, with notes about what can not take part.
func choose(scenarioExpr, clientExpr string) (plans []plan, notes []string, err error) {
	wanted, err := regexp.Compile(scenarioExpr)
	if err != nil {
		return nil, nil, err
	}
	measured, err := regexp.Compile(clientExpr)
	if err != nil {
		return nil, nil, err
	}
	entries, notes := available(slices.DeleteFunc(clients(), func(e entry) bool { return !measured.MatchString(e.name) }))
	_, missing := findMosquitto()
	for _, s := range scenarios {
		if !wanted.MatchString(s.name) {
			continue
		}
		if s.server == "mosquitto" && missing != nil {
			notes = append(notes, s.name+" is skipped: mosquitto is missing")
			continue
		}
		p := plan{scenario: s}
		for _, e := range entries {
			if e.takesPart(&s) {
				p.entries = append(p.entries, e)
			}
		}
		plans = append(plans, p)
	}
	return plans, notes, nil
}

func (p *plan) roles() map[string]role {
	roles := make(map[string]role)
	for _, e := range p.entries {
		roles[e.name] = e.role
	}
	return roles
}

// runAsClient is a client process.
func runAsClient(args []string) error {
	f := flag.NewFlagSet("client", flag.ContinueOnError)
	scenarioName := f.String("scenario", "", "")
	clientName := f.String("client", "", "")
	profiles := f.String("profile", "", "")
	j := &job{clientID: "bench"}
	f.StringVar(&j.addr, "addr", "", "")
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
	profiling := &profiling{dir: *profiles, name: *scenarioName + "." + *clientName}
	j.measured = profiling.start
	s, err := measure(&clients()[i], j)
	if err := errors.Join(err, profiling.stop()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}
