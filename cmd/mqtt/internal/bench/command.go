package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/value"
)

// flags are the options of the command that are not about the connection.
type flags struct {
	settings                      Settings
	qos, subscribeQoS             value.QoS
	duration, warmup, drain       value.Duration
	spread                        string
	embedded                      bool
	json, report                  string
	durationGiven, subscribeGiven bool
}

// Command returns the command.
func Command() *cobra.Command {
	f := &flags{
		duration: value.Duration(10 * time.Second),
		warmup:   value.Duration(2 * time.Second),
		drain:    value.Duration(5 * time.Second),
	}
	cmd := &cobra.Command{
		Use:   "bench (URL | --embedded)",
		Short: "Put a load on a server and measure rates, latencies and losses",
		Long: strings.TrimSpace(`
bench connects publishers and subscribers to a server, sends messages from the ones to the
others, and measures rates and latencies. It counts lost, repeated and disordered messages.

With --rate the load is an open loop: each message is due at a fixed time, and its latency
counts from there, also if it could only be sent later. A server that stands still for a
second is charged with all messages of that second. Without --rate the load is a closed
loop: each publisher has --window messages under way, and at QoS 0 as many as its connection
takes. Only an open loop says what latency to expect at a load that the clients choose.

--spread all (fan-out) gives each message to every subscriber, divided gives each subscriber
topics of its own, and shared makes --groups of subscribers share a filter $share/group/….
Many publishers and one subscriber are a fan-in.

Publishers and subscribers are in this process, so that one clock measures both ends. The
result says when the generator itself was late or short of processors. For high loads it
belongs on another machine than the server.

bench sends only to a server that is named: by URL or --server, --host, --profile, the
environment or the default profile. SIGINT ends the load; the result is that of the time
until then.`),
		Example: strings.Trim(`
  # 1 publisher and 1 subscriber, 1000 messages a second for 10 seconds
  mqtt bench mqtt://localhost --rate 1000

  # fan-out at QoS 1 to 100 subscribers, with a report to look at
  mqtt bench mqtt://localhost --subscribers 100 --rate 200 --qos 1 --report fanout.html

  # fan-in: 500 devices, connected at 50 a second, one subscriber
  mqtt bench mqtt://localhost --publishers 500 --ramp 50 --rate 5000 --duration 1m

  # 8 workers in 2 groups, as fast as 32 unacknowledged messages allow
  mqtt bench mqtt://localhost --subscribers 8 --spread shared --groups 2 --qos 1 --window 32

  # the embedded broker, figures for a program
  mqtt bench --embedded --rate 20000 --json result.json`, "\n"),
		Args: cobra.MaximumNArgs(1),
	}
	connection := target.Add(cmd)
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if rest := connection.TakeURL(args); len(rest) > 0 {
			return exit.Usagef("%q is not a URL of a server", rest[0])
		}
		f.durationGiven, f.subscribeGiven = cmd.Flags().Changed("duration"), cmd.Flags().Changed("subscribe-qos")
		s, err := f.finish()
		if err != nil {
			return exit.With(exit.Usage, err)
		}
		if f.embedded && connection.Named() {
			return exit.Usagef("give either a server or --embedded")
		}
		t, err := connection.Target(cmd.Context())
		if err != nil {
			return err
		}
		if !f.embedded && !connection.Named() {
			return exit.Usagef("give the URL of the server that is to be loaded, or --embedded")
		}
		return f.run(cmd, t, s)
	}
	return cmd
}

func (f *flags) add(cmd *cobra.Command) {
	set := cmd.Flags()
	set.IntVar(&f.settings.Publishers, "publishers", 1, "`N` clients publish")
	set.IntVar(&f.settings.Subscribers, "subscribers", 1, "`N` clients subscribe; 0 measures publishing alone")
	set.IntVar(&f.settings.Topics, "topics", 0, "`N` topics in all (default: one for each publisher)")
	set.StringVar(&f.settings.TopicPrefix, "topic-prefix", "bench", "`TOPIC` that all topics begin with")
	set.VarP(&f.qos, "qos", "q", "QoS of the messages")
	set.Var(&f.subscribeQoS, "subscribe-qos", "QoS of the subscriptions (default: that of --qos)")
	set.BoolVar(&f.settings.Retain, "retain", false, "publish retained messages; the last of each topic stays on the server")
	set.IntVar(&f.settings.Size, "size", 64, fmt.Sprintf("`BYTES` of a payload, at least %d", stampSize))
	set.Float64Var(&f.settings.Rate, "rate", 0, "`N` messages a second of all publishers together; 0 is a closed loop")
	set.IntVar(&f.settings.Window, "window", 16, "`N` unacknowledged messages of each publisher in a closed loop, above QoS 0")
	set.Var(&f.duration, "duration", "time that is measured")
	set.IntVar(&f.settings.Count, "count", 0, "`N` measured messages of all publishers, in place of --duration or as a further limit")
	set.Var(&f.warmup, "warmup", "time before that, which is not measured")
	set.Var(&f.drain, "drain", "longest wait for what is under way at the end")
	set.StringVar(&f.spread, "spread", string(SpreadAll), "which subscriber gets which message: `all|divided|shared`")
	set.IntVar(&f.settings.Groups, "groups", 1, "`N` groups of subscribers share the messages (--spread shared)")
	set.Float64Var(&f.settings.Ramp, "ramp", 0, "`N` connections made a second; 0 is as fast as possible")
	set.BoolVar(&f.embedded, "embedded", false, "load the embedded broker, started in this process on loopback")
	set.StringVar(&f.json, "json", "", "write the result to this `FILE` as JSON; - is standard output, in place of the table")
	set.StringVar(&f.report, "report", "", "write the result to this `FILE` as a page of HTML with plots")
}

// finish puts the settings together.
func (f *flags) finish() (Settings, error) {
	s := f.settings
	s.QoS, s.SubscribeQoS = mqtt.QoS(f.qos), mqtt.QoS(f.subscribeQoS)
	if !f.subscribeGiven {
		s.SubscribeQoS = s.QoS
	}
	s.Duration, s.Warmup, s.Drain = time.Duration(f.duration), time.Duration(f.warmup), time.Duration(f.drain)
	if s.Count > 0 && !f.durationGiven {
		s.Duration = 0
	}
	s.Spread = Spread(f.spread)
	return s, s.validate()
}

func (f *flags) run(cmd *cobra.Command, t *target.Target, s Settings) (err error) {
	// A report that cannot be written is better known before the load.
	files, err := f.open()
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	defer func() { err = errors.Join(err, files.close()) }()

	ctx := cmd.Context()
	if f.embedded {
		url, stop, err := startEmbedded(&s)
		if err != nil {
			return err
		}
		defer stop()
		t.Server, t.Config.Servers = url, nil
	}
	r := newRunner(t.Server, t.Config, s)
	stop := r.show(output.New(cmd.ErrOrStderr(), cmd.Flags()))
	err = r.execute(ctx)
	stop()
	if err != nil {
		return connectionError(ctx, err)
	}
	res := r.result(f.embedded)
	res.Interrupted = ctx.Err() != nil
	res.judge()
	if err := files.write(res, cmd.OutOrStdout()); err != nil {
		return err
	}
	if res.Interrupted {
		return context.Cause(ctx)
	}
	if m := &res.Messages; m.Published <= m.Failed+m.Unanswered {
		return exit.With(exit.Failed, errors.New("no message reached the server"))
	}
	return nil
}

// connectionError gives err the exit code of a connection that could not be made.
func connectionError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return exit.With(exit.Code(context.Cause(ctx)), err)
	}
	if code := exit.Code(err); code != exit.Failed {
		return err
	}
	return exit.With(exit.Connection, err)
}

// files are where results go.
type files struct {
	table        bool
	json, report *os.File // nil: none
}

func (f *flags) open() (o files, err error) {
	o.table = true
	switch f.json {
	case "":
	case "-":
		o.table, o.json = false, nil
	default:
		if o.json, err = os.Create(f.json); err != nil {
			return files{}, err
		}
	}
	if f.report != "" {
		if o.report, err = os.Create(f.report); err != nil {
			return files{}, errors.Join(err, o.close())
		}
	}
	return o, nil
}

func (o *files) write(r *Result, stdout io.Writer) error {
	var errs []error
	if o.table {
		errs = append(errs, r.WriteTable(stdout))
	} else {
		errs = append(errs, writeJSON(stdout, r))
	}
	if o.json != nil {
		errs = append(errs, writeJSON(o.json, r))
	}
	if o.report != nil {
		errs = append(errs, r.WriteReport(o.report))
	}
	return errors.Join(errs...)
}

func writeJSON(w io.Writer, r *Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

func (o *files) close() (err error) {
	for _, file := range []*os.File{o.json, o.report} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	return err
}
