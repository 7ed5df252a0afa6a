package main

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/mqtttest"
)

// TestMain is the ingester where a test has started this binary as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-server" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestIngester(t *testing.T) {
	for name, server := range map[string]string{"embedded": "", "Mosquitto": mosquitto.Start(t, mosquitto.Options{}).URL()} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			require.NoError(t, run(t.Context(), &out, server, "", 300))
			require.Regexp(t, regexp.MustCompile(`^(committed \d+\n)+300 messages taken, 299 rows in the database\n$`), out.String())
		})
	}
}

// TestEachReadingIsStoredOnceThoughTheIngesterIsKilled kills the process while readings
// come.
func TestEachReadingIsStoredOnceThoughTheIngesterIsKilled(t *testing.T) {
	const readings = 600
	b := mqtttest.NewBroker(t)
	path := filepath.Join(t.TempDir(), "readings.db")
	client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{})
	require.NoError(t, err)
	defer client.Close()
	db, err := open(t.Context(), path)
	require.NoError(t, err)
	defer db.Close()

	start := func() (*exec.Cmd, *bufio.Scanner) {
		ingester := exec.CommandContext(t.Context(), os.Args[0], "-server", b.URL(), "-db", path, "-n", "0")
		ingester.Stderr = t.Output()
		out, err := ingester.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, ingester.Start())
		return ingester, bufio.NewScanner(out)
	}
	kill := func(ingester *exec.Cmd) {
		require.NoError(t, ingester.Process.Kill())
		_ = ingester.Wait()
	}
	ingester, lines := start()
	b.WantSubscribed("ingest/+/+", "ingester")
	for i := range readings {
		payload := fmt.Appendf(nil, "%d 21.5", i)
		require.NoError(t, client.Publish(t.Context(), "ingest/roof/temperature", payload, mqtt.AtLeastOnce))
		if i%150 == 99 {
			require.True(t, lines.Scan(), "it has committed something")
			kill(ingester)
			ingester, lines = start()
		}
	}
	for stored(t, db) < readings && lines.Scan() { // one line for each commit
	}
	require.Equal(t, readings, stored(t, db))
	kill(ingester)
}

func stored(t *testing.T, db *sql.DB) (rows int) {
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM reading").Scan(&rows))
	return rows
}
