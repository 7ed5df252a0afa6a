// Package root puts the commands together and runs the one that is asked for.
package root

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/bench"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/bridge"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/broker"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/probe"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/pub"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/request"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/respond"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/sub"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/tail"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
)

// patience is how long a command may take to end in order after a signal.
const patience = 30 * time.Second

// commands returns all commands, one a line, in the order of the help.
func commands() []*cobra.Command {
	return []*cobra.Command{
		pub.Command(),
		sub.Command(),
		request.Command(),
		respond.Command(),
		tail.Command(),
		bench.Command(),
		broker.Command(),
		probe.Command(),
		bridge.Command(),
		target.HelpCommand(),
		manCommand(),
		versionCommand(),
	}
}

// Main runs the command line of the process and returns the exit code.
func Main() int {
	ctx, stop := signals()
	defer stop()
	return run(ctx, Command())
}

// Command returns the root of all commands.
func Command() *cobra.Command {
	root := &cobra.Command{
		Use:   "mqtt",
		Short: "Publish, subscribe, ask and answer over MQTT 3.1, 3.1.1 and 5.0",
		Long: strings.TrimSpace(`
mqtt talks to servers of MQTT 3.1, 3.1.1 and 5.0.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no connection or refused by the server,
4 timed out, 5 a message or filter was refused, 6 the responder answered with an error,
128 and the number of the signal if interrupted before the end.`),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	output.AddFlags(root.PersistentFlags())
	root.SetUsageTemplate(usageTemplate)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(commands()...)
	// -h is --host, as in mosquitto_pub.
	addHelp(root)
	root.Version = version()
	root.SetVersionTemplate("{{.Version}}\n")
	root.Flags().Bool("version", false, "print the version of this program")
	return root
}

// addHelp gives c and the commands below it --help without a letter, and lists options in
// the order in which they were added.
func addHelp(c *cobra.Command) {
	c.Flags().SortFlags = false
	c.Flags().Bool("help", false, "help for "+c.Name())
	for _, below := range c.Commands() {
		addHelp(below)
	}
}

// flagError lets -h without a host mean help, too, and speaks of numbers in plain words.
func flagError(c *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok && e.GetSpecifiedShortnames() == "h" {
		return pflag.ErrHelp
	}
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok && e.GetSpecifiedShortnames() == "h" {
		return pflag.ErrHelp
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if number, ok := errors.AsType[*strconv.NumError](err); ok {
			return fmt.Errorf("--%s %q is not a number that fits: %w", e.GetFlag().Name, e.GetValue(), number.Err)
		}
	}
	return err
}

// run executes the command. What goes wrong before a command runs is wrong usage.
func run(ctx context.Context, root *cobra.Command) int {
	running := false
	noteRuns(root, &running)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exit.Done
	}
	code := exit.Code(err)
	if !running {
		code = exit.Usage
	}
	if !exit.Quiet(err) {
		fmt.Fprintln(root.ErrOrStderr(), "mqtt: "+strings.TrimPrefix(err.Error(), "mqtt: "))
		if code == exit.Usage {
			fmt.Fprintln(root.ErrOrStderr(), `Try "mqtt help" or the --help of the command.`)
		}
	}
	return code
}

// noteRuns sets *running when the function of any command below c is called.
func noteRuns(c *cobra.Command, running *bool) {
	if f := c.RunE; f != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			*running = true
			return f(c, args)
		}
	}
	for _, below := range c.Commands() {
		noteRuns(below, running)
	}
}

// signals returns a context that ends with the first SIGINT or SIGTERM, with an
// exit.Signal as its cause. A second signal ends the process at once. So does the end of
// patience after the first: a command may hang in a write that nobody reads. A pipe that
// is closed is an error of the write, not a signal.
func signals() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE)
	go func() {
		select {
		case s := <-arrived:
			signal.Stop(arrived)
			cause := exit.Signal{Signal: s}
			cancel(cause)
			time.AfterFunc(patience, func() { os.Exit(exit.Code(cause)) })
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(arrived); cancel(nil) }
}
