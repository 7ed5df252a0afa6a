// Command bench measures MQTT clients side by side: this library, its peers, and
// hand-written loops that show what the machine can do. README.md says how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
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

// options are the flags that a person gives.
type options struct {
	scenarios, clients string // regular expressions
	runner
	rounds        int
	json, svg     string // files; empty: none
	benchstat     string // the same
	from          string // file with an earlier result; empty: measure
	list, targets bool
}

func (o *options) parse(args []string) error {
	f := flag.NewFlagSet("bench", flag.ExitOnError)
	f.StringVar(&o.scenarios, "scenario", ".", "regular expression for scenarios")
	f.StringVar(&o.clients, "clients", ".", "regular expression for clients")
	f.IntVar(&o.rounds, "rounds", fewestRounds, fmt.Sprintf("rounds of all clients, one after the other; intervals need %d", fewestRounds))
	f.DurationVar(&o.duration, "duration", 800*time.Millisecond, "measured in each run")
	f.DurationVar(&o.warmup, "warmup", 200*time.Millisecond, "before that")
	f.StringVar(&o.profiles, "profile", "", "write CPU and allocation profiles of Go clients to this directory")
	f.StringVar(&o.dir, "dir", os.TempDir(), "directory on the disk to measure, for clients that store messages")
	f.StringVar(&o.json, "json", "", "write results to this file")
	f.StringVar(&o.svg, "svg", "", "draw the main scenarios to this file")
	f.StringVar(&o.benchstat, "benchstat", "", "write all samples to this file, in the format that benchstat reads")
	f.StringVar(&o.from, "from", "", "show the results in this file, written by -json, instead of measuring")
	f.BoolVar(&o.targets, "targets", false, "print which targets are met")
	f.BoolVar(&o.list, "list", false, "list scenarios with their clients")
	return f.Parse(args)
}

// compare is what a person starts.
func compare(args []string) error {
	var o options
	if err := o.parse(args); err != nil {
		return err
	}
	if o.from != "" {
		r, err := readResult(o.from)
		if err != nil {
			return err
		}
		for _, name := range r.scenarios() {
			table(os.Stdout, r.of(name))
		}
		return o.show(r)
	}
	plans, notes, err := choose(o.scenarios, o.clients)
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
	if o.list {
		list(plans)
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if storing(plans) {
		d, err := probeDisk(o.dir)
		if err != nil {
			return err
		}
		notes = append(notes, d)
		fmt.Println(d)
	}
	r, err := o.measure(ctx, plans)
	if err != nil {
		return err
	}
	r.Notes = notes
	return errors.Join(o.show(r), ctx.Err())
}

func list(plans []plan) {
	for _, p := range plans {
		fmt.Print(p.name, ":")
		for _, e := range p.entries {
			fmt.Print(" ", e.name)
		}
		fmt.Println()
	}
}

// measure runs the plans, and prints a table after each.
func (o *options) measure(ctx context.Context, plans []plan) (r *result, err error) {
	if o.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if o.secrets, err = os.MkdirTemp("", "mqtt-bench-"); err != nil {
		return nil, err
	}
	temporary = append(temporary, o.secrets)
	if err := makeCertificate(o.secrets); err != nil {
		return nil, err
	}
	r = &result{Time: time.Now().UTC(), Host: hostOf(), Commit: commit(), Rounds: o.rounds, Duration: o.duration.Seconds()}
	for _, p := range plans {
		var samples []sample
		o.runner.rounds(ctx, []plan{p}, o.rounds, func(s sample) {
			samples = append(samples, s)
			progress(fmt.Sprintf("%s %s round %d", s.Scenario, s.Client, s.Round+1))
		})
		progress("")
		s := summarize(samples, p.roles())
		table(os.Stdout, s)
		r.Samples = append(r.Samples, samples...)
		r.Summary = append(r.Summary, s...)
	}
	r.Versions = versions(r.Samples)
	return r, nil
}

// show ends a run: where the figures are from, targets and files.
func (o *options) show(r *result) error {
	if o.targets {
		printTargets(os.Stdout, r)
	}
	fmt.Printf("\n%s, %d cores, %s, Linux %s, %s, commit %s, %s\n", r.Host.CPU, r.Host.Cores, r.Host.Memory,
		r.Host.Kernel, r.Host.GoVersion, r.Commit, r.Time.Format(time.DateOnly))
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Println(name, r.Versions[name])
	}
	var err error
	if o.json != "" {
		err = r.write(o.json)
	}
	if o.svg != "" {
		err = errors.Join(err, r.writePlot(o.svg))
	}
	if o.benchstat != "" {
		err = errors.Join(err, r.writeBenchstat(o.benchstat))
	}
	return err
}

// progress shows what was done last, to a person only.
func progress(what string) {
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintf(os.Stderr, "\r%-60s\r", what)
	}
}
