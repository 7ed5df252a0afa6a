// Package respond is "mqtt respond", which answers requests.
package respond

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"text/template"
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
		Use:   "respond [URL] FILTER... [-- COMMAND [ARGUMENT...]]",
		Short: "Answer requests, by a command or a template",
		Long: strings.TrimSpace(`
Answer each request on the filters, until a signal or --count ends it. The request names
where the response goes (5.0); --to is for requests that do not.

A command runs once for each request. It gets the payload on standard input, and what it
prints is the response. The environment has MQTT_MESSAGE_TOPIC, MQTT_MESSAGE_CONTENT_TYPE
and, for a user property called trace, MQTT_MESSAGE_PROPERTY_TRACE. The command is not run
by a shell, so that nothing in a request can become code.

If the command fails, the response says so (5.0): the requester gets the end of what the
command has printed on standard error, up to 1024 bytes. After a signal, requests that have
come are still answered.`),
		Example: strings.Trim(`
  mqtt respond 'rpc/date' -- date -u
  mqtt respond 'rpc/sort' -- sort -n            the payload on standard input
  mqtt respond 'rooms/+/temp' -- sh -c 'cat "/sys/temp/$(basename "$MQTT_MESSAGE_TOPIC")"'
  mqtt respond echo --echo
  mqtt respond 'rpc/upper' --template '{{upper .Payload}}'
  mqtt respond --group workers --concurrency 1 'jobs/#' -- ./job
  mqtt respond -V 3.1.1 room/7/ask --to room/7/answer -m 21.5`, "\n"),
	}
	connection := target.Add(cmd)
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var command []string
		if dash := cmd.ArgsLenAtDash(); dash >= 0 {
			args, command = args[:dash], args[dash:]
		}
		return f.run(cmd, connection, connection.TakeURL(args), command)
	}
	return cmd
}

// errEnough ends the responder when --count requests are answered.
var errEnough = errors.New("enough")

func (f *flags) run(cmd *cobra.Command, connection *target.Flags, filters, command []string) error {
	options, err := f.options(filters)
	if err != nil {
		return err
	}
	answer, err := f.answerer(cmd, command)
	if err != nil {
		return err
	}
	t, err := connection.Target(cmd.Context())
	if err != nil {
		return err
	}
	client, err := t.Connect(cmd.Context())
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	var answered atomic.Uint64
	out := output.New(cmd.OutOrStdout(), cmd.Flags())
	connection.Debug("subscribing", "filters", filters)
	err = client.RespondWith(ctx, options, func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
		begin := time.Now()
		payload, err := answer(ctx, m)
		if f.verbose {
			f.report(out, m, err, time.Since(begin))
		}
		if answered.Add(1) == uint64(f.count) {
			cancel(errEnough)
		}
		if err != nil {
			return nil, err
		}
		return f.response(payload, client.ServerInfo().Version), nil
	})
	_, interrupted := errors.AsType[exit.Signal](err)
	if errors.Is(err, errEnough) || interrupted && f.count == 0 {
		err = nil
	}
	ending, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	return errors.Join(err, client.Disconnect(ending))
}

// response returns the message with that payload. Before 5.0 it has no properties.
func (f *flags) response(payload []byte, v mqtt.Version) *mqtt.Message {
	m := &mqtt.Message{Topic: f.to, Payload: payload, QoS: mqtt.QoS(f.qos)}
	if v == mqtt.V5 {
		m.ContentType, m.UserProperties, m.PayloadFormatUTF8 = f.contentType, f.properties, f.utf8
	}
	return m
}

// report prints a line about a request that was answered.
func (f *flags) report(out *output.Stream, m *mqtt.Message, err error, took time.Duration) {
	outcome := out.Paint(output.Green, "answered")
	if err != nil {
		outcome = out.Paint(output.Red, "failed: ") + output.Clean(err.Error(), false)
	}
	fmt.Fprintf(out, "%s %s in %v\n", output.Clean(m.Topic, false), outcome, took.Round(10*time.Microsecond))
}

// answerer returns what makes the payload of a response.
func (f *flags) answerer(cmd *cobra.Command, command []string) (func(context.Context, *mqtt.Message) ([]byte, error), error) {
	text := cmd.Flags().Changed("message")
	ways := 0
	for _, way := range []bool{f.echo, text, f.template != "", len(command) > 0} {
		if way {
			ways++
		}
	}
	if ways != 1 {
		return nil, exit.Usagef("give one of --echo, --message, --template, and -- COMMAND")
	}
	switch {
	case f.echo:
		return func(_ context.Context, m *mqtt.Message) ([]byte, error) { return m.Payload, nil }, nil
	case text:
		return func(context.Context, *mqtt.Message) ([]byte, error) { return []byte(f.text), nil }, nil
	case f.template != "":
		return templateAnswerer(f.template)
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	return program{command, time.Duration(f.timeout), cmd.ErrOrStderr()}.answer, nil
}

func templateAnswerer(text string) (func(context.Context, *mqtt.Message) ([]byte, error), error) {
	t, err := template.New("template").Funcs(format.Functions).Parse(text)
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	return func(_ context.Context, m *mqtt.Message) ([]byte, error) {
		var b bytes.Buffer
		err := t.Execute(&b, &format.View{Message: m, Time: time.Now()})
		return b.Bytes(), err
	}, nil
}
