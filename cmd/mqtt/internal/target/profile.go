package target

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
)

// profiles is the file of profiles. The keys of a profile are the names of connection
// options.
type profiles struct {
	Default string                    `toml:"default"`
	Profile map[string]map[string]any `toml:"profile"`
}

// profilesPath returns where the profiles are, if --profiles does not say it.
func profilesPath() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "mqtt", "profiles.toml")
}

// shownProfilesPath is profilesPath without the names of this machine, for help.
func shownProfilesPath() string {
	if runtime.GOOS == "windows" {
		return `%AppData%\mqtt\profiles.toml`
	}
	return "~/.config/mqtt/profiles.toml"
}

// readProfiles reads a file. Without one at the usual place there are no profiles.
func readProfiles(path string) (p profiles, used string, err error) {
	usual := path == ""
	if usual {
		if path = profilesPath(); path == "" {
			return profiles{}, "", nil
		}
	}
	meta, err := toml.DecodeFile(path, &p)
	switch {
	case usual && errors.Is(err, fs.ErrNotExist):
		return profiles{}, path, nil
	case err != nil:
		// The error of the parser may quote the line, and a line may be a password.
		if e, ok := errors.AsType[toml.ParseError](err); ok {
			return profiles{}, path, exit.Usagef("%s: line %d is not TOML", path, e.Position.Line)
		}
		return profiles{}, path, exit.Usagef("profiles: %w", err)
	}
	for _, key := range meta.Undecoded() {
		return profiles{}, path, exit.Usagef("%s: unknown key %q; a profile is a table [profile.NAME]", path, key)
	}
	return p, path, nil
}

// chosenProfile returns the options of the profile of --profile or, if no server is
// given, of the default one.
func (f *Flags) chosenProfile() (layer, error) {
	name := f.profile
	if given := f.given(); name == "" && (given["server"] || given["host"]) {
		return layer{}, nil
	}
	p, path, err := readProfiles(f.profiles)
	if err != nil {
		return layer{}, err
	}
	if name == "" {
		if name = p.Default; name == "" {
			return layer{}, nil
		}
	}
	options, ok := p.Profile[name]
	if !ok {
		return layer{}, exit.Usagef("%s has no profile %q", path, name)
	}
	l := layer{name: fmt.Sprintf("%s: profile %s", path, name), values: map[string][]string{}}
	for key, v := range options {
		flag := f.set.Lookup(key)
		if flag == nil || flag.Name == "profile" || flag.Name == "profiles" {
			return layer{}, exit.Usagef("%s: no option %q; the keys are the names of connection options", l.name, key)
		}
		if l.values[flag.Name], err = texts(v); err != nil {
			return layer{}, exit.Usagef("%s: %s: %w", l.name, key, err)
		}
	}
	if _, ok := l.values["password"]; ok {
		f.warnIfReadable(path)
	}
	return l, nil
}

// texts returns a value of the file in the form that flags take.
func texts(v any) ([]string, error) {
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case bool:
		return []string{strconv.FormatBool(v)}, nil
	case int64:
		return []string{strconv.FormatInt(v, 10)}, nil
	case float64: // a version such as 3.1
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}, nil
	case []any:
		var all []string
		for _, element := range v {
			one, err := texts(element)
			if err != nil {
				return nil, err
			}
			all = append(all, one...)
		}
		return all, nil
	}
	return nil, errors.New("must be a text, a number, true or false, or a list of them")
}

// warnIfReadable warns of a password that others can read.
func (f *Flags) warnIfReadable(path string) {
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode()&0o044 != 0 {
		f.Note("%s has a password and can be read by other users; use chmod 600, or password-file", path)
	}
}

// completeProfiles offers the names of profiles to the shell.
func (f *Flags) completeProfiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	path := f.profiles
	if path == "" {
		path = os.Getenv(environmentName("profiles"))
	}
	p, _, err := readProfiles(path)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.Profile)) {
		if server, err := texts(p.Profile[name]["server"]); err == nil && len(server) > 0 {
			name += "\t" + Redact(server[0])
		}
		names = append(names, strings.TrimSpace(name))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
