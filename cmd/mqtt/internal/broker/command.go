// Package broker is the command that runs the embedded broker as a server.
package broker

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
)

// flags are the options of the command. They win over the configuration file.
type flags struct {
	config    string
	listen    []string
	passwords string
	acl       string
	anonymous bool
	store     string
	health    string
	check     bool
}

// Command returns the command.
func Command() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:     "broker",
		Short:   "Run a broker",
		Long:    long,
		Example: examples,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	set := cmd.Flags()
	set.StringVarP(&f.config, "config", "c", "", "configuration `FILE`")
	set.StringArrayVarP(&f.listen, "listen", "l", nil, "listen on this `URL`, any number of times, in place of the file's")
	set.StringVar(&f.passwords, "passwords", "", "`FILE` of users and hashes of their passwords")
	set.StringVar(&f.acl, "acl", "", "`FILE` of rules about topics")
	set.BoolVar(&f.anonymous, "anonymous", false, "let clients in that give no user name")
	set.StringVar(&f.store, "store", "", "`FILE` that keeps sessions and retained messages")
	set.StringVar(&f.health, "health", "", "answer /livez, /readyz and /stats over HTTP at this `ADDRESS`")
	set.BoolVar(&f.check, "check", false, "check the configuration and its files, and end")
	cmd.AddCommand(passwordCommand())
	return cmd
}

// settings are those of the file and of the flags.
func (f *flags) settings() (config, error) {
	c, err := load(f.config)
	if err != nil {
		return c, err
	}
	if len(f.listen) > 0 {
		c.Listeners = nil
	}
	for _, url := range f.listen {
		c.Listeners = append(c.Listeners, listener{url})
	}
	for from, to := range map[*string]*string{&f.passwords: &c.Passwords, &f.acl: &c.ACL, &f.store: &c.Store, &f.health: &c.Health.Listen} {
		if *from != "" {
			*to = *from
		}
	}
	c.Anonymous = c.Anonymous || f.anonymous
	return c, c.finish()
}

func (f *flags) run(cmd *cobra.Command) error {
	c, err := f.settings()
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	s := &server{config: c, again: f.settings, log: c.logger(os.Stderr), told: cmd.OutOrStdout()}
	if f.check {
		cfg, err := c.broker(s.log)
		if err == nil {
			_, err = openFiles(&c, &cfg)
		}
		if err != nil {
			return exit.With(exit.Usage, err)
		}
		fmt.Fprintln(s.told, "the configuration is right")
		return nil
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	return s.serve(cmd.Context(), reload)
}

// passwordCommand prints a line for a file of passwords.
func passwordCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "password USER",
		Short: "Print the line of a user for a file of passwords",
		Long: strings.TrimSpace(`
password asks for a password and prints the line of a user with its hash, by bcrypt. Where
standard input is no terminal, the password is its first line.`),
		Example: strings.Trim(`
  mqtt broker password alice >> passwords
  pwgen 20 1 | mqtt broker password bob >> passwords`, "\n"),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			user := args[0]
			if user == "" || strings.ContainsAny(user, ":\r\n") || user[0] == '#' {
				return exit.Usagef("%.40q cannot be a user name in a file of passwords", user)
			}
			password, err := newPassword(cmd)
			if err != nil {
				return err
			}
			hash, err := broker.HashPassword([]byte(password))
			if err != nil {
				return exit.With(exit.Usage, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s:%s\n", user, hash)
			return nil
		},
	}
}

// newPassword reads a password, twice from a terminal.
func newPassword(cmd *cobra.Command) (string, error) {
	if in, ok := cmd.InOrStdin().(*os.File); !ok || !isTerminal(in) {
		return firstLine(cmd.InOrStdin())
	}
	first, err := target.Ask(cmd.Context(), "password: ")
	if err != nil {
		return "", err
	}
	second, err := target.Ask(cmd.Context(), "once more: ")
	switch {
	case err != nil:
		return "", err
	case first != second:
		return "", exit.Usagef("the passwords differ")
	case first == "":
		return "", exit.Usagef("the password is empty")
	}
	return first, nil
}
