package brokers

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/interop/brokers/servers"
)

// notes has a file for each broker: what to set on the client and on the broker.
//
//go:embed notes/*.md
var notes embed.FS

const pageHead = `# Brokers

What our client finds on brokers that exist, and what to set. This page is generated: ` + "`go -C interop/brokers test -run TestPage . -update`" + ` writes it, and a test fails when it is stale. Every cell is the verdict of a probe that the tests run on the real broker, started on loopback with its defaults, at every version of MQTT that it speaks. A test fails when a broker does less than the cell says, or more.

To see what your own broker can do:

<!-- not run: it needs a broker -->
` + "```sh\n" + `cd interop/brokers
go test . -run TestServer -server mqtt://host:1883 -user name -password secret
` + "```\n" + `
It prints a table of the same kind, and fails only when the client breaks a promise. It publishes below ` + "`suite/`" + ` and takes some minutes.

`

func TestPage(t *testing.T) {
	page := filepath.Join("..", "..", "docs", "brokers.md")
	want := renderPage(t)
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
	}
	got, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "go test -run TestPage . -update writes it")
}

func renderPage(t *testing.T) string {
	var page strings.Builder
	kinds := servers.Kinds()
	page.WriteString(pageHead)
	page.WriteString("| broker | version | speaks |\n|---|---|---|\n")
	for _, k := range kinds {
		var spoken []string
		for _, v := range k.Versions {
			spoken = append(spoken, v.String())
		}
		fmt.Fprintf(&page, "| [%s](#%s) | %s | %s |\n", k.Name, strings.ToLower(k.Name), k.Version(t), strings.Join(spoken, ", "))
	}
	group := ""
	for _, b := range behaviours {
		if b.group != group {
			group = b.group
			fmt.Fprintf(&page, "\n## %s\n\n", group)
			writeHeading(&page, kinds)
		}
		writeRow(&page, b, kinds)
	}
	for _, k := range kinds {
		note, err := notes.ReadFile("notes/" + k.Name + ".md")
		require.NoError(t, err)
		fmt.Fprintf(&page, "\n## %s\n\n%s", k.Name, note)
		writeDepartures(&page, k)
	}
	return page.String()
}

func writeHeading(page *strings.Builder, kinds []servers.Kind) {
	page.WriteString("| behaviour | expected |")
	for _, k := range kinds {
		page.WriteString(" " + k.Name + " |")
	}
	page.WriteString("\n|---|---|" + strings.Repeat("---|", len(kinds)) + "\n")
}

func writeRow(page *strings.Builder, b *behaviour, kinds []servers.Kind) {
	fmt.Fprintf(page, "| %s | %s |", b.name, b.what)
	for _, k := range kinds {
		page.WriteString(" " + cell(b, k) + " |")
	}
	page.WriteString("\n")
}

// cell has the verdicts on a broker, once if all versions have the same.
func cell(b *behaviour, k servers.Kind) string {
	var texts []string
	versions := map[string][]string{}
	for _, v := range b.triedOn(k) {
		text := string(yes)
		if d := b.departureOf(k.Name, v); d != nil {
			text = d.text()
		}
		if versions[text] == nil {
			texts = append(texts, text)
		}
		versions[text] = append(versions[text], v.String())
	}
	switch len(texts) {
	case 0:
		return "–"
	case 1:
		return texts[0]
	}
	var parts []string
	for _, text := range texts {
		parts = append(parts, strings.Join(versions[text], ", ")+": "+text)
	}
	return strings.Join(parts, "; ")
}

// text is the verdict for the page. That a race decides is said with the reasons.
func (d *departure) text() string {
	if d.or != nil {
		return string("at times: " + d.verdict)
	}
	return string(d.verdict)
}

func writeDepartures(page *strings.Builder, k servers.Kind) {
	var rows []string
	for _, b := range behaviours {
		for _, d := range b.departures {
			if d.broker != k.Name {
				continue
			}
			rows = append(rows, fmt.Sprintf("| %s%s | %s | %s |\n", b.name, onVersions(d.versions), d.texts(), d.why))
		}
	}
	if rows != nil {
		page.WriteString("\n| behaviour | instead | because |\n|---|---|---|\n" + strings.Join(rows, ""))
	}
}

// texts are all verdicts of a race.
func (d *departure) texts() string {
	all := []string{string(d.verdict)}
	for _, v := range d.or {
		all = append(all, string(v))
	}
	return strings.Join(all, ", or ")
}

func onVersions(versions []mqtt.Version) string {
	var texts []string
	for _, v := range versions {
		texts = append(texts, v.String())
	}
	if texts == nil {
		return ""
	}
	return " (" + strings.Join(texts, ", ") + ")"
}
