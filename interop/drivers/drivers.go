// Package drivers starts the programs that drive clients of other projects by the line
// protocol of mqtttest/conformance.
package drivers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// Driver is a program that drives one client.
type Driver struct {
	Name    string // of the client
	Command []string
}

// golang are the clients of the program golang.
var golang = []string{"paho.mqtt.golang", "paho.golang", "autopaho", "at-wat", "gomqtt"}

// Build compiles into dir what has to be compiled and returns the drivers of all
// clients. root is the directory of the module interop.
func Build(ctx context.Context, root, dir string) ([]Driver, error) {
	if _, err := os.Stat(filepath.Join(root, "js", "node_modules", "mqtt")); err != nil {
		return nil, fmt.Errorf("run npm ci in interop/js: %w", err)
	}
	goProgram, cProgram := filepath.Join(dir, "golang"), filepath.Join(dir, "libmosquitto")
	goBuild := exec.CommandContext(ctx, "go", "build", "-o", goProgram, "./golang")
	goBuild.Dir = root
	sources, err := filepath.Glob(filepath.Join(root, "c", "*.c"))
	if err != nil {
		return nil, err
	}
	arguments := append([]string{"-Wall", "-Werror", "-O1", "-o", cProgram}, sources...)
	cBuild := exec.CommandContext(ctx, "gcc", append(arguments, "-lmosquitto", "-lcjson", "-lpthread")...)
	if err := errors.Join(run(goBuild), run(cBuild)); err != nil {
		return nil, err
	}
	var all []Driver
	for _, name := range golang {
		all = append(all, Driver{name, []string{goProgram, name}})
	}
	return append(all,
		// Debian's own Python has Debian's Paho.
		Driver{"paho.mqtt.python", []string{"/usr/bin/python3", filepath.Join(root, "python", "driver.py")}},
		Driver{"mqtt.js", []string{"node", filepath.Join(root, "js", "driver.cjs")}},
		Driver{"libmosquitto", []string{cProgram}},
	), nil
}

func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Args[0], err, out)
	}
	return nil
}

// Open starts the program.
func (d Driver) Open(ctx context.Context) (conformance.Client, error) {
	return conformance.Command(ctx, d.Command[0], d.Command[1:]...)
}
