package respond

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/value"
)

// flags are the options of the command, those of the connection aside.
type flags struct {
	qos           value.QoS
	group         string
	concurrency   uint
	count         uint
	timeout       value.Duration
	echo          bool
	text          string
	template      string
	to            string
	contentType   string
	properties    value.UserProperties
	utf8, verbose bool
}

func (f *flags) add(cmd *cobra.Command) {
	f.timeout, f.qos = value.Duration(30*time.Second), 1
	set := cmd.Flags()
	set.BoolVar(&f.echo, "echo", false, "respond with the payload of the request")
	set.StringVarP(&f.text, "message", "m", "", "respond with this `PAYLOAD`")
	set.StringVar(&f.template, "template", "", "respond with a `TEMPLATE` of Go, such as '{{upper .Payload}}'")
	set.VarP(&f.qos, "qos", "q", "quality of service of requests, and the least of responses")
	set.StringVar(&f.group, "group", "", "share the requests with other members of the `GROUP` (a shared subscription)")
	set.UintVar(&f.concurrency, "concurrency", 16, "answer up to `N` requests at once; with 1 in their order")
	set.VarP(&f.timeout, "timeout", "W", "how long the command may take for one request; 0 means without limit")
	set.UintVarP(&f.count, "count", "C", 0, "end after `N` requests")
	set.StringVar(&f.contentType, "content-type", "", "content `TYPE` of responses (5.0)")
	set.Var(&f.properties, "property", "user property of responses, any number of times (5.0)")
	set.BoolVar(&f.utf8, "utf8", false, "say that responses are text in UTF-8 (5.0)")
	set.StringVar(&f.to, "to", "", "respond on this `TOPIC` where the request names none, as always before 5.0")
	set.BoolVarP(&f.verbose, "verbose", "v", false, "print a line for each request: topic, outcome and time")
	cmd.MarkFlagsMutuallyExclusive("echo", "message", "template")
}

// options returns what to subscribe to.
func (f *flags) options(filters []string) (mqtt.RespondOptions, error) {
	if len(filters) == 0 {
		return mqtt.RespondOptions{}, exit.Usagef("give a filter, such as 'rpc/#'")
	}
	if f.concurrency == 0 || f.concurrency > 1<<16 {
		return mqtt.RespondOptions{}, exit.With(exit.Usage, errors.New("--concurrency must be between 1 and 65536"))
	}
	o := mqtt.RespondOptions{Concurrency: int(f.concurrency)}
	for _, filter := range filters {
		if f.group != "" {
			filter = "$share/" + f.group + "/" + filter
		}
		o.Filters = append(o.Filters, mqtt.Filter{Filter: filter, QoS: mqtt.QoS(f.qos)})
	}
	return o, nil
}
