package conformance

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// clientNumbers are the numbered statements that concern clients: those that bind them,
// and those whose other side a client has to cope with. Each line has a section and the
// last part of the numbers in it.
var clientNumbers = map[wire.Version]string{
	wire.V311: `
1.5.3 1 2 3
2.2.2 1 2
2.3.1 1 2 3 4 5 6 7
3.1.0 1 2
3.1.2 1 2 3 4 6 8 9 11 13 14 15 18 19 20 21 22 23
3.1.3 1 2 3 4 5 7 10 11
3.2.0 1
3.2.2 1 2 3 4 5 6
3.3.1 1 2 3 4
3.3.2 1 2 3
3.3.4 1
3.6.1 1
3.8.1 1
3.8.3 1 3 4
3.8.4 1 2 5
3.9.3 1 2
3.10.1 1
3.10.3 1 2
3.10.4 1 2 3 4 5
3.12.4 1
3.14.1 1
3.14.4 1 2
4.1.0 1 2
4.3.1 1
4.3.2 1 2
4.3.3 1 2
4.4.0 1
4.5.0 2
4.6.0 1 2 3 4
4.7.1 1 2 3
4.7.2 1
4.7.3 1 2 3 4
4.8.0 1 2
6.0.0 1 2 3 4
7.0.0 2
7.1.2 1
`,
	wire.V5: `
1.5.4 1 2 3
1.5.5 1
1.5.7 1
2.1.3 1
2.2.1 2 3 4 5 6
2.2.2 1
3.1.0 1 2
3.1.2 1 2 3 4 7 8 9 11 12 13 16 17 18 19 20 21 23 24 25 26 27 28 29 30
3.1.3 1 2 3 4 5 6 7 9 11 12
3.1.4 3
3.2.0 1 2
3.2.2 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21
3.3.1 1 2 3 4
3.3.2 1 2 3 6 7 8 9 10 11 13 14 19
3.3.4 1 6 7 8 9
3.4.2 1 2 3
3.5.2 1 2 3
3.6.1 1
3.6.2 1 2 3
3.7.2 1 2 3
3.8.1 1
3.8.3 1 2 3 4 5
3.8.4 1 2 6 7
3.9.2 1 2
3.9.3 1 2
3.10.1 1
3.10.3 1 2
3.10.4 1 2 3 4 5
3.11.2 1 2
3.11.3 1 2
3.12.4 1
3.14.0 1
3.14.1 1
3.14.2 1 2 3 4
3.14.4 1 2
3.15.1 1
3.15.2 1 2 3
4.1.0 1
4.2.0 1
4.3.1 1
4.3.2 1 2 3 4 5
4.3.3 1 2 3 4 5 6 7 8 9 10 11 12 13
4.4.0 1 2
4.5.0 2
4.6.0 1 2 3 4
4.7.0 1
4.7.1 1 2
4.7.2 1
4.7.3 1 2 3 4
4.8.2 1 2
4.9.0 1 2 3
4.12.0 1 2 3 4 5 6 7
4.12.1 1 2
4.13.2 1
6.0.0 1 2 3 4
`,
}

// Each numbered statement for clients has a check, or a reason why it has none.
func TestEachNumberedStatementIsThere(t *testing.T) {
	for v, sections := range clientNumbers {
		var numbers, missing []string
		for _, s := range ClientStatements() {
			numbers = append(numbers, s.Numbers(v)...)
		}
		count := 0
		for line := range strings.Lines(strings.TrimSpace(sections)) {
			fields := strings.Fields(line)
			for _, last := range fields[1:] {
				count++
				if number := "MQTT-" + fields[0] + "-" + last; !slices.Contains(numbers, number) {
					missing = append(missing, number)
				}
			}
		}
		require.Greater(t, count, 80, v)
		assert.Empty(t, missing, v)
	}
}
