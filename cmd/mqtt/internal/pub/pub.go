// Package pub is "mqtt pub", which publishes messages.
package pub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// Command returns the command.
func Command() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:   "pub [URL] TOPIC [MESSAGE]",
		Short: "Publish messages",
		Long: strings.TrimSpace(`
Publish one message, or many from standard input, and end when the server has them all.
At QoS 1 and 2 that is when it has acknowledged them, over as many connections as it takes.

Messages are sent while the input is read. When the server is slow, reading waits. A
message that fails is reported, the others go on, and the exit code is that of the first
failure.`),
		Example: strings.Trim(`
  mqtt pub sensors/7/temp 21.5                  to localhost, at QoS 0
  mqtt pub mqtts://broker.example door open -q 1 -r
  mqtt pub -t image -f photo.jpg --content-type image/jpeg
  tail -f app.log | mqtt pub log/app -l -q 1    each line as it comes
  mqtt pub door -n -r                           remove the retained message
  mqtt pub counter '{{.N}} {{.Time.Unix}}' --fill --repeat 10 --interval 1s
  mqtt sub 'old/#' -j -W 9 | mqtt pub mqtt://other --json-lines   copy with all properties
  mqtt pub alarm fire -q 1 -v -W 5              prints the reason code, or exit code 4
  mqtt pub -i meter-7 --store queue.db -W 30 meter/7 230   what is not sent goes with the next run`, "\n"),
	}
	connection := target.Add(cmd)
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.source.Take(connection.TakeURL(args)); err != nil {
			return err
		}
		return f.run(cmd, connection)
	}
	return cmd
}

func (f *flags) run(cmd *cobra.Command, connection *target.Flags) (err error) {
	ctx := cmd.Context()
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(f.timeout))
		defer cancel()
	}
	if f.store != "" && !f.set.Changed("qos") {
		f.message.QoS = 1 // messages at QoS 0 are not stored
	}
	messages, err := f.source.Open(cmd.InOrStdin(), f.message.Message())
	if err != nil {
		return err
	}
	t, err := connection.Target(ctx)
	if err != nil {
		return err
	}
	t.Config.SendTopicAliases = f.aliases
	client, closeStore, err := f.connect(ctx, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	defer client.Close()

	w := watchDeliveries(ctx, cmd.OutOrStdout(), connection, f.verbose)
	for m, delivery := range client.Pending() {
		w.add(m, delivery)
	}
	for i := range messages.Items(ctx) {
		if i.Err != nil {
			w.failed(i.Err)
			continue
		}
		delivery, err := client.PublishAsync(ctx, i.Message)
		if err != nil {
			w.failed(err)
			if ctx.Err() != nil || client.Err() != nil {
				break
			}
			continue
		}
		w.add(i.Message, delivery)
	}
	err = w.wait()
	if f.store != "" && w.left > 0 {
		err = fmt.Errorf("%w; %d messages stay in %s for the next run", err, w.left, f.store)
	}
	if err == nil {
		err = messages.Err()
	}
	return errors.Join(err, disconnect(ctx, client, f.store != ""))
}

// connect connects. With a store there is no need to wait for the connection: what is
// accepted is sent by this run or by a later one.
func (f *flags) connect(ctx context.Context, t *target.Target) (*mqtt.Client, func() error, error) {
	if f.store == "" {
		client, err := t.Connect(ctx)
		return client, func() error { return nil }, err
	}
	if t.Config.ClientID == "" {
		return nil, nil, exit.Usagef("--store needs a --client-id, because the messages belong to its session")
	}
	file, err := bolt.Open(f.store, bolt.Config{})
	if err != nil {
		return nil, nil, fmt.Errorf("--store: %w", err)
	}
	t.Config.Store = file
	client, err := mqtt.Start(t.Server, t.Config)
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return client, file.Close, nil
}

// disconnect ends the client in order. What is left was reported for each message, so
// only QoS 0 messages that were lost on the way are an error here.
func disconnect(ctx context.Context, client *mqtt.Client, stored bool) error {
	grace := 5 * time.Second
	if ctx.Err() != nil || client.Err() != nil {
		grace = time.Second
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := client.Disconnect(ctx)
	if _, ok := errors.AsType[*mqtt.UnfinishedError](err); ok || errors.Is(err, mqtt.ErrClosed) || stored {
		return nil
	}
	return err
}
