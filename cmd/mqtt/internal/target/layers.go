package target

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
)

// A layer is one place that options come from. Options of a layer above hide those
// below: the command line, then the environment, then the profile.
type layer struct {
	name   string // for errors
	values map[string][]string
}

// alternatives are options of which a layer gives one in place of the others.
var alternatives = [][]string{
	{"server", "host"},
	{"server", "port"},
	{"server", "tls"},
	{"password", "password-file", "password-command", "ask-password"},
}

// credentials are options that belong to the server they were written for.
var credentials = []string{
	"username", "password", "password-file", "password-command", "ask-password",
	"cert", "key", "header", "connect-property",
}

// fill sets what the command line has not: from the environment, then from the profile.
func (f *Flags) fill() error {
	given := f.given()
	env := layer{name: "environment", values: map[string][]string{}}
	f.set.VisitAll(func(flag *pflag.Flag) {
		if values, ok := environment(flag.Name); ok {
			env.values[flag.Name] = values
		}
	})
	f.keepCredentialsAtHome(&env, given)
	if err := f.apply(env, given); err != nil {
		return err
	}
	profile, err := f.chosenProfile()
	if err != nil {
		return err
	}
	// given is of the command line again, plus what the environment has.
	return f.apply(profile, f.given())
}

// given returns the options that are set.
func (f *Flags) given() map[string]bool {
	given := map[string]bool{}
	f.set.VisitAll(func(flag *pflag.Flag) { given[flag.Name] = flag.Changed })
	return given
}

// apply sets what l has and neither given has nor an alternative of it.
func (f *Flags) apply(l layer, given map[string]bool) error {
	for name, values := range l.values {
		if given[name] || slices.ContainsFunc(alternatives, func(group []string) bool {
			return slices.Contains(group, name) && slices.ContainsFunc(group, func(other string) bool { return given[other] })
		}) {
			continue
		}
		for _, v := range values {
			if err := f.set.Set(name, v); err != nil {
				if isSecret(name) {
					return exit.Usagef("%s: %s cannot be used", l.name, name)
				}
				return exit.Usagef("%s: %w", l.name, err)
			}
		}
	}
	return nil
}

// isSecret reports whether the value of an option must not be printed.
func isSecret(name string) bool {
	switch name {
	case "server", "password", "password-command", "proxy", "header", "connect-property":
		return true
	}
	return false
}

// keepCredentialsAtHome takes the credentials out of env if env names a server and the
// command line names another one: nobody has said that they are for that one.
func (f *Flags) keepCredentialsAtHome(env *layer, given map[string]bool) {
	if !given["server"] && !given["host"] {
		return
	}
	home := ""
	switch {
	case len(env.values["server"]) > 0:
		home = hostOf(env.values["server"][0])
	case len(env.values["host"]) > 0:
		home = env.values["host"][0]
	default:
		return
	}
	target := f.host
	if len(f.servers) > 0 {
		target = hostOf(f.servers[0])
	}
	if strings.EqualFold(home, target) {
		return
	}
	var left []string
	for _, name := range credentials {
		if _, ok := env.values[name]; ok {
			delete(env.values, name)
			left = append(left, environmentName(name))
		}
	}
	if left != nil {
		f.Note("%s in the environment belong to the server there, and are not sent to another", strings.Join(left, ", "))
	}
}

func hostOf(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Note tells the user something on standard error, unless --quiet is set.
func (f *Flags) Note(format string, args ...any) {
	if !f.quiet {
		fmt.Fprintf(f.cmd.ErrOrStderr(), "mqtt: "+format+"\n", args...)
	}
}

// Debug logs what a command does, with --debug.
func (f *Flags) Debug(message string, args ...any) {
	if logger := f.logger(); logger != nil {
		logger.Debug(message, args...)
	}
}
