package conformance_test

import (
	"bytes"
	"fmt"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
	"github.com/seed65a45251/mqtt/wire"
)

const pageFile = "../../../docs/conformance-servers.md"

const intro = `# Brokers and the statements of MQTT

What brokers do where MQTT 3.1.1 and 5.0 bind servers. ` + "`conformance.ServerRun`" + ` of package mqtttest/conformance plays their clients; the test in interop/brokers/conformance writes this page, and fails when a broker does better or worse than it says. Each broker runs with the settings of its makers, once open to everybody and once with a user and a forbidden topic. This broker also runs with low limits, without the features that can be switched off, and with an authentication method, because some statements show only there.

| outcome | means |
|---|---|
| passes | what the script saw is what the statement says |
| departs | something that the text advises (SHOULD) is done in another way, or not |
| fails | the script saw something else than the statement says |
| cannot | the broker has no such feature, and says so if its version can |
| not observed | the occasion did not come: nothing that this broker does shows it |

A statement of this page is one rule, with the numbers that the two texts have for it. One habit of a broker may break several. What a broker does wrong in some runs only is written down as a failure. "Fails" says nothing about how much that matters: a client that keeps the rules itself never notices many of them. An empty field means that the broker does not have the version.

`

// page shows results.
func page(all []seen) []byte {
	var b bytes.Buffer
	b.WriteString(intro)
	var columns []conformance.Column
	b.WriteString("| broker | version |\n|---|---|\n")
	for _, s := range all {
		columns = append(columns, conformance.Column{Name: s.Name, Results: s.Results})
		if s.Version == "" {
			s.Version = "this repository"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", s.Name, s.Version)
	}
	versions := []wire.Version{wire.V311, wire.V5}
	b.WriteString("\n## How many\n\n")
	must(conformance.WriteCounts(&b, versions, columns))
	for _, v := range versions {
		fmt.Fprintf(&b, "\n## Statements of %s\n\n", v)
		must(conformance.WriteMatrix(&b, v, conformance.ServerStatements(), having(columns, v)))
	}
	showPlaces(&b, all[0].Results)
	return b.Bytes()
}

// having leaves out the columns without results of a version.
func having(columns []conformance.Column, v wire.Version) (left []conformance.Column) {
	for _, c := range columns {
		for _, r := range c.Results {
			if r.Version == v {
				left = append(left, c)
				break
			}
		}
	}
	return left
}

func must(err error) {
	if err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
}
