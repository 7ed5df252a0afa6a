// Command load measures the broker of this repository beside Mosquitto in one
// run, on one machine:
//
//   - memory of idle sessions: connected with a subscription each, and absent
//   - fan-out of messages to many subscribers
//   - connections made and dropped
//
// Servers run one at a time in processes of their own, and the rounds alternate
// between them. The clients are plain sockets in this process. Everything goes over
// loopback.
//
// With the argument carry it measures many clients of this library in one process
// instead: what each occupies, and how all come back when the broker was killed.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// settings are the flags.
type settings struct {
	sessions    int
	connected   int // of the sessions, as many as the limit of open files permits
	subscribers int
	messages    int
	payload     int
	churn       int
	clients     int
	rounds      int
	json        string
}

func (s *settings) parse(args []string) error {
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.IntVar(&s.sessions, "sessions", 100_000, "idle sessions; those with a connection may be fewer, see ulimit -n")
	f.IntVar(&s.subscribers, "subscribers", 10_000, "subscribers of the fan-out")
	f.IntVar(&s.messages, "messages", 50, "messages that fan out at once, and one by one")
	f.IntVar(&s.payload, "payload", 64, "bytes of payload, at least 8")
	f.IntVar(&s.churn, "churn", 10_000, "connections that are made and dropped")
	f.IntVar(&s.clients, "clients", 64, "clients that connect at the same time")
	f.IntVar(&s.rounds, "rounds", 3, "rounds; the median counts")
	f.StringVar(&s.json, "json", "", "write the figures of every round to this file")
	if err := f.Parse(args); err != nil {
		return err
	}
	for _, n := range []int{s.sessions, s.subscribers, s.messages, s.churn, s.clients, s.rounds} {
		if n < 1 {
			return fmt.Errorf("numbers have to be positive")
		}
	}
	s.payload = max(s.payload, 8)
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch {
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1])
	case len(args) > 0 && args[0] == "carry":
		return carry(ctx, args[1:])
	}
	var s settings
	if err := s.parse(args); err != nil {
		return err
	}
	room, err := raiseFileLimit(max(s.sessions, s.subscribers, s.clients))
	if err != nil {
		return err
	}
	if room < max(s.subscribers, s.clients) {
		return fmt.Errorf("the limit of open files leaves room for %d connections", room)
	}
	s.connected = min(s.sessions, room)
	servers, err := findServers()
	if err != nil {
		return err
	}
	start := time.Now()
	r, err := measure(ctx, &s, servers)
	if err != nil {
		return err
	}
	r.print(os.Stdout)
	fmt.Printf("\n%d rounds in %v\n", s.rounds, time.Since(start).Round(time.Second))
	return writeJSON(s.json, r)
}

// writeJSON writes figures to a file, unless it has no name.
func writeJSON(file string, figures any) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// scenarios in their order. Each begins with a fresh server.
var scenarios = []struct {
	name string
	run  func(context.Context, *settings, *server) (figures, error)
}{
	{"idle", idle},
	{"fan-out", fanOut},
	{"churn", churn},
}

// measure runs all scenarios against all servers, round by round.
func measure(ctx context.Context, s *settings, kinds []serverKind) (*result, error) {
	r := newResult(s, kinds)
	for range s.rounds {
		for _, scenario := range scenarios {
			for _, kind := range kinds {
				fmt.Fprintf(os.Stderr, "%-8s %s\n", scenario.name, kind.name)
				got, err := once(ctx, s, kind, scenario.run)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", scenario.name, kind.name, err)
				}
				r.add(kind.name, got)
			}
		}
	}
	return r, nil
}

func once(ctx context.Context, s *settings, kind serverKind, f func(context.Context, *settings, *server) (figures, error)) (figures, error) {
	srv, err := kind.start()
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	return f(ctx, s, srv)
}
