package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/value"
)

// Command returns the command.
func Command() *cobra.Command {
	var o Options
	timeout := value.Duration(5 * time.Second)
	var file string
	var strict bool
	cmd := &cobra.Command{
		Use:   "probe URL",
		Short: "Find out what a server offers and where its limits are",
		Long: strings.TrimSpace(`
probe asks a server what it offers, and tries whether that holds: versions, qualities of
service, retained messages, sessions, wills, shared subscriptions, and much more.

Each row has an answer: yes, no, wrong (the server breaks the specification, or what it has
announced in CONNACK), a value, or "not tested" with the reason. The checks speak the highest
version that the server accepts, or that of --mqtt-version.

All topics of a probe begin with --topic-prefix and a level that no other probe has, and its
client identifiers begin with --client-id, or probe. A server with access rules has to allow
both. What the probe leaves on the server (retained messages, sessions) it removes at the
end, also after SIGINT. Limits are tried up to small values, see --max-payload and so on.
--deep adds checks that take longer, or that send what the server has excluded.`),
		Example: strings.Trim(`
  mqtt probe mqtt://localhost
  mqtt probe mqtts://broker.example.com -u alice --ask-password --json broker.json
  mqtt probe mqtt://localhost --deep --max-payload 1048576
  mqtt probe mqtt://localhost --strict && echo "no deviation found"`, "\n"),
		Args: cobra.MaximumNArgs(1),
	}
	connection := target.Add(cmd)
	set := cmd.Flags()
	set.BoolVar(&o.Deep, "deep", false, "also what takes long, or sends what the server has excluded")
	set.Var(&timeout, "timeout", "longest time of one check; searches for limits may take six times as long")
	set.StringVar(&o.Prefix, "topic-prefix", "mqtt-probe", "`TOPIC` that all topics begin with")
	set.IntVar(&o.MaxPayload, "max-payload", 64<<10, "largest payload that is tried, in `BYTES`")
	set.IntVar(&o.MaxTopic, "max-topic", 1024, "longest topic that is tried, in `BYTES`, at most 65535")
	set.IntVar(&o.MaxFilters, "max-filters", 64, "try up to `N` filters in one SUBSCRIBE")
	set.StringVar(&file, "json", "", "write the result to this `FILE` as JSON; - is standard output, in place of the table")
	set.BoolVar(&strict, "strict", false, "exit with 1 if an answer is wrong")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if rest := connection.TakeURL(args); len(rest) > 0 {
			return exit.Usagef("%q is not a URL of a server", rest[0])
		}
		if o.Timeout = time.Duration(timeout); o.Timeout == 0 {
			return exit.Usagef("--timeout must be above zero")
		}
		if err := o.validate(); err != nil {
			return exit.With(exit.Usage, err)
		}
		t, err := connection.Target(cmd.Context())
		if err != nil {
			return err
		}
		if !connection.Named() {
			return exit.Usagef("give the URL of the server")
		}
		return run(cmd, t, o, file, strict)
	}
	return cmd
}

func (o *Options) validate() error {
	switch {
	case o.MaxPayload < 0 || o.MaxPayload > 256<<20:
		return errors.New("--max-payload must be between 0 and 268435456")
	case o.MaxTopic < 1 || o.MaxTopic > 65535:
		return errors.New("--max-topic must be between 1 and 65535")
	case o.MaxFilters < 1 || o.MaxFilters > 65536:
		return errors.New("--max-filters must be between 1 and 65536")
	case o.Prefix == "" || strings.ContainsAny(o.Prefix, "+#\x00"):
		return errors.New("--topic-prefix must be the beginning of a topic")
	}
	return nil
}

func run(cmd *cobra.Command, t *target.Target, o Options, file string, strict bool) error {
	stdout, stderr := output.New(cmd.OutOrStdout(), cmd.Flags()), output.New(cmd.ErrOrStderr(), cmd.Flags())
	each := func(string) {}
	if stderr.Terminal {
		each = func(name string) { fmt.Fprintf(stderr, "\r\x1b[K%s …", name) }
	}
	res, err := probe(cmd.Context(), t.Server, t.Config, o, each)
	if stderr.Terminal {
		fmt.Fprint(stderr, "\r\x1b[K")
	}
	if res == nil {
		return exit.With(exit.Usage, err)
	}
	if written := res.write(stdout, file); written != nil {
		return errors.Join(written, err)
	}
	switch {
	case errors.Is(err, errRefused):
		return exit.With(exit.Connection, err)
	case err != nil:
		return err
	case strict:
		return res.deviation()
	}
	return nil
}

// write writes the table, the file, or both.
func (r *Result) write(stdout *output.Stream, file string) error {
	if file == "-" {
		return r.writeJSON(stdout)
	}
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		if err := errors.Join(r.writeJSON(f), f.Close()); err != nil {
			return err
		}
	}
	return r.WriteTable(stdout)
}

func (r *Result) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// deviation is an error if a check was answered with wrong.
func (r *Result) deviation() error {
	n := 0
	for _, c := range r.Checks {
		if c.Answer == Wrong {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return exit.With(exit.Failed, fmt.Errorf("answers that are wrong: %d", n))
}
