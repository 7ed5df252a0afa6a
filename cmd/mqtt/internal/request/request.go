// Package request is "mqtt request", which publishes requests and prints the responses.
package request

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/format"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/message"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/source"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/value"
)

// flags are the options of the command, those of the connection aside.
type flags struct {
	source  source.Flags
	message message.Flags
	format  format.Flags
	timeout value.Duration
	prefix  string
	asks    bool
}

// Command returns the command.
func Command() *cobra.Command {
	f := &flags{timeout: value.Duration(30 * time.Second)}
	f.message.QoS = 1 // at 0 a request can get lost, and nobody knows that there is no responder
	cmd := &cobra.Command{
		Use:   "request [URL] TOPIC [MESSAGE]",
		Short: "Publish requests and print the responses",
		Long: strings.TrimSpace(`
Publish a request and print the response to it. On 5.0 the response topic and the
correlation data are chosen so that only the response to this request counts. With
--response-topic it is the first message on that topic; before 5.0 that is the only way,
and the responder has to know the topic.

Several requests, from --lines, --json-lines or --repeat, go one after the other.`),
		Example: strings.Trim(`
  mqtt request rooms/7/temp get                 from whoever responds, within 30 seconds
  mqtt request rpc/add '{"a":1,"b":2}' -W 5 --content-type application/json
  mqtt request rpc/add -f request.json -j       the response with all properties
  mqtt request -V 3.1.1 --response-topic room/7/answer room/7/ask get
  mqtt request rpc/ping ping || echo "code $?"  3 no connection, 4 no response in time,
                                                5 nobody has subscribed, 6 the responder failed`, "\n"),
	}
	connection := target.Add(cmd)
	set := cmd.Flags()
	f.source.Add(cmd)
	set.VarP(&f.timeout, "timeout", "W", "how long to wait for each response, with exit code 4; 0 means without limit")
	f.message.AddDelivery(set, "", "q", "r")
	f.message.Add(set, "")
	f.format.Add(cmd)
	set.StringVar(&f.prefix, "response-prefix", "", "`TOPIC` below which responses arrive (5.0; default: what the server says, or responses)")
	set.BoolVar(&f.asks, "response-information", false, "ask the server for the topic that it reserves for responses (5.0)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.source.Take(connection.TakeURL(args)); err != nil {
			return err
		}
		return f.run(cmd, connection)
	}
	return cmd
}

func (f *flags) run(cmd *cobra.Command, connection *target.Flags) error {
	ctx := cmd.Context()
	printer, err := f.format.Printer(output.New(cmd.OutOrStdout(), cmd.Flags()))
	if err != nil {
		return err
	}
	requests, err := f.source.Open(cmd.InOrStdin(), f.message.Message())
	if err != nil {
		return err
	}
	t, err := connection.Target(ctx)
	if err != nil {
		return err
	}
	t.Config.ResponsePrefix, t.Config.RequestResponseInformation = f.prefix, f.asks
	connecting, cancel := f.limit(ctx)
	client, err := t.Connect(connecting)
	cancel()
	if err != nil {
		return err
	}
	defer client.Close()
	for i := range requests.Items(ctx) {
		if i.Err != nil {
			return i.Err
		}
		response, err := f.ask(ctx, client, i.Message)
		if err != nil {
			return err
		}
		text, err := printer.Print(response, time.Now())
		if err != nil {
			return err
		}
		if _, err := cmd.OutOrStdout().Write(text); err != nil {
			return err
		}
	}
	return requests.Err()
}

// ask sends one request.
func (f *flags) ask(ctx context.Context, client *mqtt.Client, m *mqtt.Message) (*mqtt.Message, error) {
	asking, cancel := f.limit(ctx)
	defer cancel()
	response, err := client.Request(asking, m)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, exit.With(exit.Timeout, fmt.Errorf("no response within %v", time.Duration(f.timeout)))
	}
	return response, err
}

// limit bounds ctx by --timeout.
func (f *flags) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if f.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(f.timeout))
}
