package sub

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/format"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/value"
	"github.com/seed65a45251/mqtt/match"
)

// flags are the options of the command, those of the connection aside.
type flags struct {
	format.Flags
	topics, without, leave []string
	qos                    value.QoS
	group                  string
	noLocal                bool
	retainAsPublished      bool
	retainHandling         retainHandling
	live, retained         bool
	removeRetained         bool
	count                  uint
	timeout                value.Duration
	subscribeOnly          bool
	overflow               overflow
	dir                    string
	properties             value.UserProperties
}

func (f *flags) add(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringArrayVarP(&f.topics, "topic", "t", nil, "`FILTER` to subscribe to, beside those of the arguments")
	set.VarP(&f.qos, "qos", "q", "highest quality of service that messages are sent with")
	set.StringArrayVarP(&f.without, "filter-out", "T", nil, "leave out topics that match the `FILTER`, any number of times")
	set.UintVarP(&f.count, "count", "C", 0, "end after `N` messages")
	set.VarP(&f.timeout, "timeout", "W", "end after that time; exit code 4 if --count, or one message, has not come by then")
	f.Flags.Add(cmd)
	set.StringVar(&f.dir, "dir", "", "append messages to a file for each topic below this `DIRECTORY`")
	set.StringVar(&f.group, "group", "", "share the messages with other members of the `GROUP` (a shared subscription)")
	set.BoolVar(&f.noLocal, "no-local", false, "leave out what this client publishes (5.0)")
	set.BoolVar(&f.retainAsPublished, "retain-as-published", false, "keep the retain flag that messages were published with (5.0)")
	set.Var(&f.retainHandling, "retain-handling", "when to get retained messages: always, only for a new subscription, or never (5.0)")
	set.BoolVarP(&f.live, "no-retained", "R", false, "leave out retained messages")
	set.BoolVar(&f.retained, "retained-only", false, "print retained messages only, and end with the first that is not")
	set.BoolVar(&f.removeRetained, "remove-retained", false, "remove each retained message that is printed from the server")
	set.StringArrayVarP(&f.leave, "unsubscribe", "U", nil, "unsubscribe from the `FILTER` of a session that is resumed, any number of times")
	set.BoolVarP(&f.subscribeOnly, "subscribe-only", "E", false, "end when the server has the subscriptions; with --resume it then keeps messages")
	set.Var(&f.overflow, "overflow", "which message at QoS 0 to drop when the output is slow, or to stop reading instead")
	set.Var(&f.properties, "subscribe-property", "user property of SUBSCRIBE, any number of times (5.0)")
	cmd.MarkFlagsMutuallyExclusive("no-retained", "retained-only")
	cmd.MarkFlagsMutuallyExclusive("no-retained", "remove-retained")
}

// options returns what to subscribe to.
func (f *flags) options(args []string) (mqtt.SubscribeOptions, error) {
	filters := append(args, f.topics...)
	if len(filters) == 0 {
		return mqtt.SubscribeOptions{}, exit.Usagef("give at least one filter, such as 'sensors/#'")
	}
	for _, filter := range append(f.without, f.leave...) {
		if err := match.ValidateFilter(filter); err != nil {
			return mqtt.SubscribeOptions{}, exit.With(exit.Usage, err)
		}
	}
	o := mqtt.SubscribeOptions{
		UserProperties: f.properties, Overflow: mqtt.Overflow(f.overflow),
		// The next run with --resume is the worker that the messages wait for.
		KeepShared: f.subscribeOnly,
	}
	for _, filter := range filters {
		if f.group != "" {
			filter = "$share/" + f.group + "/" + filter
		}
		o.Filters = append(o.Filters, mqtt.Filter{
			Filter: filter, QoS: mqtt.QoS(f.qos), NoLocal: f.noLocal,
			RetainAsPublished: f.retainAsPublished, RetainHandling: mqtt.RetainHandling(f.retainHandling),
		})
	}
	return o, nil
}

// skipRetained asks the server not to send what would be left out. Before 5.0 it cannot be
// asked.
func (f *flags) skipRetained(o *mqtt.SubscribeOptions, v mqtt.Version) {
	if !f.live || v != mqtt.V5 {
		return
	}
	for i := range o.Filters {
		o.Filters[i].RetainHandling = mqtt.DontSendRetained
	}
}

// wanted reports whether a message is to be printed. It is asked on connections with that
// version.
func (f *flags) wanted(m *mqtt.Message, v mqtt.Version) bool {
	for _, filter := range f.without {
		if match.Match(filter, m.Topic) {
			return false
		}
	}
	// Where the flag is that of the publisher, it does not say that the message is old.
	old := m.Retain && !(f.retainAsPublished && v == mqtt.V5)
	return !(f.live && old) && !(f.retained && !m.Retain)
}

// words is a value that is one of a few words, and the number of the word.
func words(number *uint8, all []string, s string) error {
	for i, word := range all {
		if s == word {
			*number = uint8(i)
			return nil
		}
	}
	return errors.New("must be one of " + strings.Join(all, ", "))
}

type retainHandling mqtt.RetainHandling

var retainHandlings = []string{"always", "new", "never"}

func (r *retainHandling) String() string     { return retainHandlings[*r] }
func (*retainHandling) Type() string         { return strings.Join(retainHandlings, "|") }
func (r *retainHandling) Set(s string) error { return words((*uint8)(r), retainHandlings, s) }

type overflow mqtt.Overflow

var overflows = []string{"newest", "oldest", "block"}

func (o *overflow) String() string     { return overflows[*o] }
func (*overflow) Type() string         { return strings.Join(overflows, "|") }
func (o *overflow) Set(s string) error { return words((*uint8)(o), overflows, s) }
