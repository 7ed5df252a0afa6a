// Package bridge is the command that takes messages from one server to another.
package bridge

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
)

// settings are what a bridge does. They are the configuration file.
type settings struct {
	ID     string  `toml:"id"`
	Local  string  `toml:"local"`
	Remote string  `toml:"remote"`
	Store  string  `toml:"store"`
	Routes []Route `toml:"routes"`
}

// flags are the options of the command.
type flags struct {
	config                    string
	id, store                 string
	out, in, both             []string
	localPrefix, remotePrefix string
	quiet, verbose            bool
}

// Command returns the command.
func Command() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:   "bridge (LOCAL REMOTE | --config FILE)",
		Short: "Take messages from one server to another",
		Long: strings.TrimSpace(`
bridge connects to two servers, which are URLs or names of profiles, and publishes at the one
what it receives from the other. Options of the connection in the environment are not used.

A message is acknowledged to the server that it is from when the other one has acknowledged
it, so a crash loses none; it may repeat some. With --store a message is acknowledged when it
is on the disk, and up to a million messages or 1 GiB wait there for a server that is away.
Sessions stay with the servers for a day, or for the session_expiry of the profile.

Order and QoS are kept, and the retain flag and all properties where the versions have them.
A message does not come back: 5.0 servers do not send what the bridge has published itself
(no local). Before 5.0 the mark of a bridge does that at Mosquitto and some others, where the
profile has version = "3.1.1". Each bridge adds its name as the user property mqtt-bridge, and
leaves out what has been there before, so that several bridges may form a ring (5.0).

A configuration file in TOML has routes with prefixes of their own. The first one that matches
gives a message its topic:

  id = "home"                        # name of the bridge
  local = "mqtt://localhost"         # a URL or the name of a profile
  remote = "cloud"
  store = "bridge"                   # folder, relative to this file

  [[routes]]
  direction = "out"                  # out, in or both
  filter = "sensors/#"
  qos = 1                            # the highest
  remote_prefix = "home/"            # sensors/7 is home/sensors/7 there

  [[routes]]
  direction = "in"
  filter = "#"
  local_prefix = "commands/"
  remote_prefix = "home/commands/"`),
		Example: strings.Trim(`
  # everything below sensors to another server
  mqtt bridge mqtt://localhost mqtts://cloud.example --out 'sensors/#'

  # both ways, under a name of its own there, kept on the disk while it is away
  mqtt bridge mqtt://localhost cloud --both 'home/#' --remote-prefix site7/ --store bridge

  # many routes
  mqtt bridge --config bridge.toml`, "\n"),
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	set := cmd.Flags()
	set.StringVarP(&f.config, "config", "c", "", "configuration `FILE`")
	set.StringVar(&f.id, "id", "", "`NAME` of the bridge, and beginning of its client identifiers (default: bridge)")
	set.StringVar(&f.store, "store", "", "`FOLDER` that keeps messages for a server that is away")
	set.StringArrayVar(&f.out, "out", nil, "`FILTER` of messages that go from LOCAL to REMOTE")
	set.StringArrayVar(&f.in, "in", nil, "`FILTER` of messages that go from REMOTE to LOCAL")
	set.StringArrayVar(&f.both, "both", nil, "`FILTER` of messages that go either way")
	set.StringVar(&f.localPrefix, "local-prefix", "", "topics at LOCAL begin with this `PREFIX`, those at REMOTE do not")
	set.StringVar(&f.remotePrefix, "remote-prefix", "", "topics at REMOTE begin with this `PREFIX`, those at LOCAL do not")
	set.BoolVar(&f.quiet, "quiet", false, "do not tell of connections")
	set.BoolVarP(&f.verbose, "verbose", "v", false, "tell of messages that are left out")
	return cmd
}

// settings puts together what the file, the options and the arguments say.
func (f *flags) settings(args []string) (s settings, err error) {
	if f.config != "" {
		meta, err := toml.DecodeFile(f.config, &s)
		if err != nil {
			return s, fmt.Errorf("%s: %w", f.config, err)
		}
		if unknown := meta.Undecoded(); len(unknown) > 0 {
			return s, fmt.Errorf("%s: unknown setting %s", f.config, unknown[0])
		}
		if s.Store != "" && !filepath.IsAbs(s.Store) {
			s.Store = filepath.Join(filepath.Dir(f.config), s.Store)
		}
	}
	switch {
	case len(args) == 2:
		s.Local, s.Remote = args[0], args[1]
	case len(args) == 1 || s.Local == "" || s.Remote == "":
		return s, errors.New("give two servers, LOCAL and REMOTE, or a configuration file that has them")
	}
	if s.Local == s.Remote {
		return s, errors.New("LOCAL and REMOTE are the same server")
	}
	if f.id != "" {
		s.ID = f.id
	}
	if s.ID == "" {
		s.ID = "bridge"
	}
	if f.store != "" {
		s.Store = f.store
	}
	for direction, all := range map[Direction][]string{Out: f.out, In: f.in, Both: f.both} {
		for _, filter := range all {
			s.Routes = append(s.Routes, Route{Filter: filter, Direction: direction, LocalPrefix: f.localPrefix, RemotePrefix: f.remotePrefix})
		}
	}
	if len(s.Routes) == 0 {
		return s, errors.New("give a route: --out, --in or --both, or routes in a configuration file")
	}
	for i := range s.Routes {
		if err := s.Routes[i].validate(); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (f *flags) run(cmd *cobra.Command, args []string) error {
	s, err := f.settings(args)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	b := &bridge{settings: s}
	if b.local, err = target.Named(cmd.Context(), cmd, s.Local); err != nil {
		return err
	}
	if b.remote, err = target.Named(cmd.Context(), cmd, s.Remote); err != nil {
		return err
	}
	b.note = func(format string, args ...any) {
		if !f.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
		}
	}
	b.debug = func(format string, args ...any) {
		if f.verbose {
			fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
		}
	}
	return b.run(cmd.Context())
}
