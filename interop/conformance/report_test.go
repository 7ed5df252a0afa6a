package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
	"github.com/seed65a45251/mqtt/wire"
)

const reportPath = "../../docs/conformance.md"

// TestReport compares docs/conformance.md with the records. It runs after the clients,
// which write them.
func TestReport(t *testing.T) {
	if *update {
		text, err := json.MarshalIndent(currentStatements(t), "", "\t")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(statementsPath, append(text, '\n'), 0o644))
	}
	text := report(t)
	if *update {
		require.NoError(t, os.WriteFile(reportPath, []byte(text), 0o644))
		return
	}
	written, err := os.ReadFile(reportPath)
	require.NoError(t, err)
	require.Equal(t, text, string(written), "run go test -update")
}

const introduction = `# Conformance of clients

[mqtttest/conformance](../mqtttest/conformance) plays the server for a client program and checks what the client does with each statement of MQTT 3.1.1 and 5.0 that can be seen from there. The clients are driven through their documented interfaces by the programs in [interop](../interop); the drivers are tried with Mosquitto and with the broker of this repository first. The file is made by a test, which CI runs:

<!-- not run: a test of the module interop is what it runs -->
~~~sh
npm ci --prefix interop/js
go -C interop test ./conformance                     # compare
go -C interop test ./conformance -update -runs 10    # write anew
~~~

| outcome | means |
|---|---|
| passes | the statement is kept; a number leads to a remark about a choice that the text leaves |
| not observed | nothing can be seen from outside, or the occasion does not come |
| cannot | the interface of the library has no way to do what the check needs |
| departs | otherwise than the text advises ("should"), or with a reason that is documented |
| fails | otherwise than the text demands |

5.0 advises clients to close after a packet that is wrong, and 3.1.1 demands it: the same conduct departs from one and fails the other. To fail a check is not to be unusable: many statements are about servers that make mistakes, and many libraries leave it to the application not to ask for what is forbidden.
`

func report(t *testing.T) string {
	var b strings.Builder
	b.WriteString(strings.ReplaceAll(introduction, "~~~", "```"))
	b.WriteString("\n## Clients\n\n| client | library |\n|---|---|\n")
	columns := make([]conformance.Column, len(subjects))
	for i, s := range subjects {
		rec := readRecord(t, s)
		columns[i] = conformance.Column{Name: s.name, Results: withVariation(rec)}
		fmt.Fprintf(&b, "| %s | %s |\n", s.name, rec.Library)
	}
	b.WriteString("\n")
	versions := []wire.Version{wire.V311, wire.V5}
	require.NoError(t, conformance.WriteCounts(&b, versions, columns))
	b.WriteString("\n## This client, statement by statement\n\n")
	b.WriteString("Every statement that can be seen is checked by `TestClientKeepsTheStatements` in [internal/conformancetest](../internal/conformancetest); the tests named here speak of it besides.\n\n")
	statements := recordedStatements(t)
	writeOurs(&b, statements, columns[0].Results)
	shown := make([]*conformance.Statement, len(statements))
	for i, s := range statements {
		shown[i] = &conformance.Statement{Name: s.Name, V311: s.V311, V5: s.V5, Text: s.Text}
	}
	for _, v := range versions {
		fmt.Fprintf(&b, "\n## All clients, %s\n\n", v)
		require.NoError(t, conformance.WriteMatrix(&b, v, shown, columns))
	}
	return b.String()
}

// withVariation returns the results of a record, with a word about those that vary.
func withVariation(rec record) []conformance.Result {
	results := make([]conformance.Result, len(rec.Found))
	for i, f := range rec.Found {
		results[i] = f.Result
		for _, also := range f.Also {
			results[i].Detail = strings.TrimPrefix(fmt.Sprintf("%s; in other runs: %s", f.Detail, also), "; ")
		}
	}
	return results
}

// writeOurs writes the statements with this client's results, code and tests.
func writeOurs(b *strings.Builder, statements []statement, results []conformance.Result) {
	outcomes := map[string]conformance.Outcome{}
	for _, r := range results {
		outcomes[key(r)] = r.Outcome
	}
	b.WriteString("| 3.1.1 | 5.0 | says | result | code | tests |\n|---|---|---|---|---|---|\n")
	for _, s := range statements {
		var cells []string
		for _, v := range []wire.Version{wire.V311, wire.V5} {
			if o, ok := outcomes[s.Name+" "+v.String()]; ok {
				cells = append(cells, o.String())
			}
		}
		if len(cells) == 2 && cells[0] == cells[1] {
			cells = cells[:1]
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n",
			conformance.ShowNumbers(s.V311), conformance.ShowNumbers(s.V5), strings.ReplaceAll(s.Text, "|", `\|`),
			strings.Join(cells, ", "), names([]string{s.Code}), names(s.Tests))
	}
}

// names shows at most three names as code.
func names(all []string) string {
	shown := make([]string, 0, 3)
	for _, n := range all[:min(len(all), 3)] {
		if n != "" {
			shown = append(shown, "`"+n+"`")
		}
	}
	return strings.Join(shown, ", ")
}
