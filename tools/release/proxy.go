package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// publish puts a module of the last commit into the proxy in a directory.
func publish(proxy, root string, m nestedModule, version string) error {
	escaped, err := module.EscapePath(m.path)
	if err != nil {
		return err
	}
	base := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return err
	}
	goMod, err := os.ReadFile(filepath.Join(root, m.dir, "go.mod"))
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"list":            []byte(version + "\n"),
		version + ".mod":  goMod,
		version + ".info": fmt.Appendf(nil, `{"Version":%q}`, version),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(base, name), content, 0o644); err != nil {
			return err
		}
	}
	packed, err := os.Create(filepath.Join(base, version+".zip"))
	if err != nil {
		return err
	}
	defer packed.Close()
	if err := zip.CreateFromVCS(packed, module.Version{Path: m.path, Version: version}, root, "HEAD", m.dir); err != nil {
		return err
	}
	return packed.Close()
}

// try gets each module as a user does, in a module of its own, and builds it.
func try(proxy, version string, ms modules) error {
	dir, err := os.MkdirTemp("", "user")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	paths := []string{ms.root}
	for _, m := range ms.nested {
		if !m.programs {
			paths = append(paths, m.path)
			continue
		}
		if err := run(dir, proxy, "install", m.path+"@"+version); err != nil {
			return err
		}
	}
	for i, path := range paths {
		user := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(user, 0o755); err != nil {
			return err
		}
		for _, args := range [][]string{
			{"mod", "init", "example.com/user"},
			{"get", path + "@" + version},
			{"get", path + "/...@" + version},
			{"build", path + "/..."},
		} {
			if err := run(user, proxy, args...); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return nil
}

// run runs a go command in a directory, with a module cache of its own, which begins with
// the proxy in a directory and what the machine has downloaded before.
func run(dir, proxy string, args ...string) error {
	settings, err := exec.Command("go", "env", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		return err
	}
	cache, remote, _ := strings.Cut(strings.TrimSpace(string(settings)), "\n")
	c := exec.Command("go", args...)
	c.Dir = dir
	c.Env = append(os.Environ(),
		"GOPROXY=file://"+proxy+",file://"+filepath.Join(cache, "cache", "download")+","+remote,
		"GOMODCACHE="+filepath.Join(proxy, "cache"), "GOBIN="+filepath.Join(proxy, "bin"),
		"GOFLAGS=-modcacherw", "GONOSUMDB=*", "GOWORK=off",
	)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// git runs a git command at root and returns what it prints.
func git(root string, args ...string) (string, error) {
	// A checkout may belong to another user than the one who runs this.
	c := exec.Command("git", append([]string{"-c", "safe.directory=*"}, args...)...)
	c.Dir = root
	var failed bytes.Buffer
	c.Stderr = &failed
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, &failed)
	}
	return strings.TrimSpace(string(out)), nil
}
