package documented

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDefaultsAreWrittenAsInTheDocuments(t *testing.T) {
	for want, value := range map[string]any{
		"5": 5, "1,024": uint16(1024), "1,234,567": 1_234_567, "384 KiB": Bytes(384 << 10), "1 GiB": Bytes(1 << 30), "1,025 bytes": Bytes(1025),
		"10s": 10 * time.Second, "7 days": 7 * 24 * time.Hour,
	} {
		require.Equal(t, want, text(value))
	}
}

func TestTableBelowAHeading(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(page, []byte("# A\n\n| limit | default |\n|---|---|\n| x | 1 |\n\n## B\n\nText.\n\n| limit | default |\n|---|---|\n| y | 2 KiB |\n| z | 3 |\n\n## C\n\n| limit | default |\n|---|---|\n| w | 4 |\n"), 0o600))
	require.Equal(t, []Row{{"y", "2 KiB"}, {"z", "3"}}, Rows(t, page, "## B"))
	Want(t, page, "## B", map[string]any{"y": Bytes(2048), "z": 3})
}
