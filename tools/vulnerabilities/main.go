// Command vulnerabilities looks for known vulnerabilities that modules reach, with
// govulncheck. It takes Go's database from the module proxy, where it is a module of its
// own, golang.org/x/vulndb, so it works where nothing else can be reached.
//
//	go -C tools run ./vulnerabilities .. ../cmd/mqtt
//
// Each argument is the directory of a module. The exit code is 1 if a module reaches a
// vulnerability of a module that it requires. Those of the Go release at hand are printed
// and are no failure: the cure is another release.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: go -C tools run ./vulnerabilities DIRECTORY...")
		os.Exit(2)
	}
	reached, err := check(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "vulnerabilities:", err)
	}
	if err != nil || reached > 0 {
		os.Exit(1)
	}
}

// check returns how many vulnerabilities of required modules are reached.
func check(directories []string, w io.Writer) (reached int, err error) {
	scratch, err := os.MkdirTemp("", "vulnerabilities")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch)
	source, version, err := download(scratch)
	if err != nil {
		return 0, err
	}
	database := filepath.Join(scratch, "database")
	if err := index(filepath.Join(source, "data", "osv"), database); err != nil {
		return 0, err
	}
	fmt.Fprintln(w, "database", version)
	tool := filepath.Join(scratch, "govulncheck")
	if out, err := exec.Command("go", "build", "-o", tool, "golang.org/x/vuln/cmd/govulncheck").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	for _, directory := range directories {
		cmd := exec.Command(tool, "-db", "file://"+database, "-format", "json", "./...")
		cmd.Dir, cmd.Stderr = directory, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return reached, fmt.Errorf("%s: %w", directory, err)
		}
		found, err := read(out)
		if err != nil {
			return reached, fmt.Errorf("%s: %w", directory, err)
		}
		reached += found.print(directory, w)
	}
	return reached, nil
}

// download gets the newest database, and returns where it is.
func download(scratch string) (dir, version string, err error) {
	cmd := exec.Command("go", "mod", "download", "-json", "golang.org/x/vulndb@latest")
	cmd.Dir = scratch // no module, so that nothing is changed
	out, err := cmd.Output()
	var got struct{ Dir, Version, Error string }
	if json.Unmarshal(out, &got) == nil && got.Error != "" {
		return "", "", fmt.Errorf("download: %s", got.Error)
	}
	if err != nil {
		return "", "", fmt.Errorf("download: %w", err)
	}
	return got.Dir, got.Version, nil
}
