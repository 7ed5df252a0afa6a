package docs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	limits "github.com/seed65a45251/mqtt/internal/documented"
)

// elsewhere are settings of limits.md that are no limit by default.
var elsewhere = []string{"Config.WhenFull", "Config.QueueAtMostOnce", "Config.PublishRate", "Config.QueueAge", "Config.Undelivered"}

// Every limit of SECURITY.md, whose defaults the packages compare with their code, is
// explained in limits.md, and the other way round.
func TestLimitsAreTheSameInBothPages(t *testing.T) {
	page, err := os.ReadFile("limits.md")
	require.NoError(t, err)
	client, server, found := strings.Cut(string(page), "\n## The broker\n")
	require.True(t, found)
	for heading, section := range map[string]string{"### Limits of the client": client, "### Limits of the broker": server} {
		var listed []string
		for _, row := range limits.Rows(t, "../SECURITY.md", heading) {
			name, setting := strings.CutPrefix(row.Limit, "`")
			if !setting {
				continue
			}
			name = strings.TrimSuffix(name, "`")
			listed = append(listed, name)
			_, short, _ := strings.Cut(name, ".")
			require.True(t, strings.Contains(section, short+"`"), "limits.md does not explain %s", name)
		}
		for _, quoted := range regexp.MustCompile("`((?:Config|SubscribeOptions)\\.[A-Za-z]+)`").FindAllStringSubmatch(section, -1) {
			require.Contains(t, append(listed, elsewhere...), quoted[1], "SECURITY.md has no default")
		}
	}
}
