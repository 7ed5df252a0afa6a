// Command golang drives one of the Go clients of other projects by the line protocol
// of mqtttest/conformance:
//
//	golang paho.mqtt.golang
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// libraries are the clients by the name that the program is called with.
var libraries = map[string]func() *client{
	"paho.mqtt.golang": newPahoMQTT,
	"paho.golang":      newPaho,
	"autopaho":         newAutopaho,
	"at-wat":           newAtWat,
	"gomqtt":           newGomqtt,
}

func main() {
	if len(os.Args) != 2 || libraries[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: golang CLIENT")
		os.Exit(2)
	}
	if err := conformance.Serve(context.Background(), os.Stdin, os.Stdout, libraries[os.Args[1]]()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// version returns the path and version of a module of this program.
func version(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return path + " " + m.Version
			}
		}
	}
	return path
}
