// Package sub is "mqtt sub", which prints the messages of topics.
package sub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/format"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
)

// Command returns the command.
func Command() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:   "sub [URL] FILTER...",
		Short: "Print the messages of topics",
		Long: strings.TrimSpace(`
Subscribe to filters and print each message that comes, until a signal, --count or
--timeout ends it. A message at QoS 1 or 2 is acknowledged when it has been written: when
the output is slow, it waits at the server. Messages at QoS 0 are dropped then, and how
many is said at the end.

On a terminal topics are coloured and aligned, and nothing in a message can control the
terminal. Elsewhere payloads are written as they are.`),
		Example: strings.Trim(`
  mqtt sub 'sensors/#' -v                       topic and payload, from localhost
  mqtt sub mqtts://broker.example 'a/#' 'b/+'   several filters
  mqtt sub --json 'sensors/#' | jq .topic       all properties, a line of JSON each
  mqtt sub -F '%I %t %x' 'sensors/#'            a format of mosquitto_sub
  mqtt sub --template '{{level 2 .Topic}} {{(json .Payload).temp}}' 'sensors/+/state'
  mqtt sub -C 1 -W 5 status/door || echo none   one message within five seconds
  mqtt sub -R -T 'sensors/test/#' 'sensors/#'   no retained messages, no test sensors
  mqtt sub --dir log -j '#'                     a file of JSON lines for each topic
  mqtt sub -i archive -c -q 1 'orders/#'        what came since the last run, and from now on
  mqtt sub --group workers -q 1 'jobs/#'        share the messages with other members`, "\n"),
	}
	connection := target.Add(cmd)
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return f.run(cmd, connection, connection.TakeURL(args))
	}
	return cmd
}

// errEnough ends the loop over messages when all that was asked for has come.
var errEnough = errors.New("enough")

func (f *flags) run(cmd *cobra.Command, connection *target.Flags, args []string) error {
	options, err := f.options(args)
	if err != nil {
		return err
	}
	w, err := f.writer(cmd)
	if err != nil {
		return err
	}
	t, err := connection.Target(cmd.Context())
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(f.timeout))
		defer cancel()
	}
	client, err := t.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if len(f.leave) > 0 {
		if err := client.Unsubscribe(ctx, f.leave...); err != nil {
			return err
		}
	}
	f.skipRetained(&options, client.ServerInfo().Version)
	subscription, err := client.SubscribeWith(ctx, options)
	if err != nil {
		return f.outcome(err, 0)
	}
	connection.Debug("subscribed", "granted", fmt.Sprint(subscription.Granted()))
	if !f.subscribeOnly {
		err = f.copy(ctx, client, subscription, w)
	}
	if dropped := subscription.Dropped(); dropped > 0 {
		connection.Note("%d messages were dropped, because the output was slow", dropped)
	}
	// What is not printed stays with the server, if it keeps the session.
	return errors.Join(err, finish(ctx, client))
}

// finish disconnects in order. Messages that nobody has printed are no failure.
func finish(ctx context.Context, client *mqtt.Client) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := client.Disconnect(ctx)
	if unfinished, ok := errors.AsType[*mqtt.UnfinishedError](err); ok && unfinished.Published == 0 {
		return nil
	}
	return err
}

// copy writes messages until it has enough, or ctx or the client ends.
func (f *flags) copy(ctx context.Context, client *mqtt.Client, subscription *mqtt.Subscription, w writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer w.whenGone(func() { cancel(syscall.EPIPE) })()
	var printed uint
	err := func() error {
		for m, err := range subscription.All(ctx) {
			if err != nil {
				return err
			}
			if f.retained && !m.Retain {
				return errEnough
			}
			if !f.wanted(m, client.ServerInfo().Version) {
				continue
			}
			if err := w.write(m, time.Now()); err != nil {
				return err
			}
			if f.removeRetained && m.Retain {
				if err := client.PublishMessage(ctx, &mqtt.Message{Topic: m.Topic, Retain: true, QoS: mqtt.AtLeastOnce}); err != nil {
					return err
				}
			}
			if printed++; printed == f.count {
				return errEnough
			}
		}
		return nil
	}()
	return f.outcome(err, printed)
}

// outcome says what the end of the loop means.
func (f *flags) outcome(err error, printed uint) error {
	_, interrupted := errors.AsType[exit.Signal](err)
	switch {
	case errors.Is(err, errEnough):
		return nil
	case errors.Is(err, syscall.EPIPE):
		return nil // the reader has what it wanted, as with "| head"
	case interrupted && f.count == 0:
		return nil
	case errors.Is(err, context.DeadlineExceeded) && f.count == 0 && printed > 0:
		return nil
	case errors.Is(err, context.DeadlineExceeded) && f.count > 0:
		return exit.With(exit.Timeout, fmt.Errorf("%d of %d messages within %v", printed, f.count, time.Duration(f.timeout)))
	case errors.Is(err, context.DeadlineExceeded):
		return exit.With(exit.Timeout, fmt.Errorf("no message within %v", time.Duration(f.timeout)))
	}
	return err
}

// A writer takes messages that are to be printed.
type writer interface {
	// write returns when the message is written, so that it can be acknowledged.
	write(m *mqtt.Message, at time.Time) error
	// whenGone calls f when nobody reads any more, if that can be known. stop ends it.
	whenGone(f func()) (stop func())
}

func (f *flags) writer(cmd *cobra.Command) (writer, error) {
	if f.dir != "" {
		printer, err := f.Printer(&output.Stream{Writer: io.Discard})
		if err != nil {
			return nil, err
		}
		return openDir(f.dir, printer)
	}
	out := output.New(cmd.OutOrStdout(), cmd.Flags())
	printer, err := f.Printer(out)
	return &streamWriter{out, printer}, err
}

type streamWriter struct {
	out     *output.Stream
	printer *format.Printer
}

func (w *streamWriter) write(m *mqtt.Message, at time.Time) error {
	text, err := w.printer.Print(m, at)
	if err != nil {
		return err
	}
	_, err = w.out.Write(text)
	return err
}

func (w *streamWriter) whenGone(f func()) (stop func()) { return w.out.WhenGone(f) }
