// Package tail is "mqtt tail", which shows the tree of topics as it fills.
package tail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/value"
)

// flags are the options of the command, those of the connection aside.
type flags struct {
	qos             value.QoS
	topics, history uint
}

// Command returns the command.
func Command() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:   "tail [URL] [FILTER...]",
		Short: "Watch the tree of topics fill, live in the terminal",
		Long: strings.TrimSpace(`
Show the topics of a server as a tree, with the rate, the count and the last value of
each. Enter shows a topic in detail: payload as JSON, text or hexadecimal, properties, and
the last messages. The key ? lists the keys.

Without a filter it is #. The screen is drawn ten times a second, however many messages
come. Memory is bounded: the first --topics topics are kept, with up to --history messages
each, of each payload 8 KiB, of all 32 MiB. The screen says what is left out.`),
		Example: strings.Trim(`
  mqtt tail                                     everything of localhost
  mqtt tail mqtts://broker.example 'sensors/#'
  mqtt tail --profile work '#' '$SYS/#'         with what the server says of itself
  mqtt tail --topics 100000 --history 5`, "\n"),
	}
	connection := target.Add(cmd)
	set := cmd.Flags()
	set.VarP(&f.qos, "qos", "q", "highest quality of service that messages are sent with")
	set.UintVar(&f.topics, "topics", 20000, "keep up to `N` levels of topics")
	set.UintVar(&f.history, "history", 20, "keep the last `N` messages of each topic")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return f.run(cmd, connection, connection.TakeURL(args))
	}
	return cmd
}

func (f *flags) run(cmd *cobra.Command, connection *target.Flags, filters []string) error {
	out := output.New(cmd.OutOrStdout(), cmd.Flags())
	if !out.Terminal {
		return exit.Usagef("mqtt tail needs a terminal; mqtt sub prints messages elsewhere")
	}
	if f.topics == 0 || f.history == 0 {
		return exit.Usagef("--topics and --history must be at least 1")
	}
	if len(filters) == 0 {
		filters = []string{"#"}
	}
	options := mqtt.SubscribeOptions{BufferMessages: 1 << 16} // a burst goes into the tree sooner or later
	for _, filter := range filters {
		options.Filters = append(options.Filters, mqtt.Filter{Filter: filter, QoS: mqtt.QoS(f.qos)})
	}
	ctx := cmd.Context()
	t, err := connection.Target(ctx)
	if err != nil {
		return err
	}
	t.Notes = nil // the screen says it
	client, err := t.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	subscription, err := client.SubscribeWith(ctx, options)
	if err != nil {
		return err
	}
	s := &screen{client: client, subscription: subscription, state: status{text: "connected"}}
	return s.run(ctx, newTree(limits{int(f.topics), int(f.history)}, time.Now()), target.Redact(t.Server))
}

// screen connects a client with what is drawn.
type screen struct {
	client       *mqtt.Client
	subscription *mqtt.Subscription

	mu    sync.Mutex
	state status
}

// run draws until the user or ctx ends it, or the client ends.
func (s *screen) run(ctx context.Context, t *tree, server string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m := newModel(t, server, s.status)
	p := tea.NewProgram(m, tea.WithFPS(int(time.Second/frame)), tea.WithoutSignalHandler(), tea.WithInput(os.Stdin))
	var working sync.WaitGroup
	working.Go(func() {
		for message, err := range s.subscription.All(ctx) {
			if err != nil {
				cancel(err) // the client has ended, unless ctx has
				return
			}
			t.record(message, time.Now())
		}
	})
	working.Go(func() { s.watch(ctx) })
	stop := context.AfterFunc(ctx, p.Quit)
	_, err := p.Run()
	stop()
	cause := context.Cause(ctx)
	cancel(nil)
	working.Wait()
	if _, interrupted := errors.AsType[exit.Signal](cause); interrupted {
		return err
	}
	return errors.Join(err, cause)
}

// watch keeps up what the screen says of the connection.
func (s *screen) watch(ctx context.Context) {
	for event := range s.client.Watch(ctx) {
		next := status{text: "connected"}
		switch event.State {
		case mqtt.Connecting, mqtt.Reconnecting:
			next = status{text: "connecting", bad: true}
			if event.Err != nil {
				next.text = fmt.Sprintf("no connection: %v", event.Err)
			}
		case mqtt.Closed:
			return
		}
		if event.State == mqtt.Connected && event.Err != nil {
			continue // about messages
		}
		s.mu.Lock()
		s.state = next
		s.mu.Unlock()
	}
}

func (s *screen) status() status {
	s.mu.Lock()
	state := s.state
	s.mu.Unlock()
	state.dropped = s.subscription.Dropped()
	return state
}
