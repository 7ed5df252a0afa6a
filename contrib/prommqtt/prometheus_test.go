package prommqtt_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program returns the path of a program of Debian's package prometheus.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("MQTT_REQUIRE_SERVERS") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}

// server is a Prometheus that scrapes one target.
type server struct {
	t   *testing.T
	url string
}

var listening = regexp.MustCompile(`msg="?Listening on"? address=(\S+)`)

// startPrometheus starts one that scrapes target twice a second. It ends with the test.
func startPrometheus(t *testing.T, target string) *server {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n- job_name: test\n  static_configs: [{targets: [%q]}]\n", target)
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	cmd := exec.Command(program(t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	address := make(chan string, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(address)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
			fmt.Fprintln(t.Output(), lines.Text())
		}
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		reading.Wait()
		_ = cmd.Wait()
	})
	at, ok := <-address
	require.True(t, ok, "it has ended")
	return &server{t, "http://" + at}
}

// sample is a series and its value.
type sample struct {
	Metric map[string]string
	Value  [2]any // time and value
}

func (s sample) value(t *testing.T) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(s.Value[1].(string), 64)
	require.NoError(t, err)
	return f
}

// query asks for the present value of an expression.
func (s *server) query(expr string) []sample {
	s.t.Helper()
	response, err := http.PostForm(s.url+"/api/v1/query", url.Values{"query": {expr}})
	require.NoError(s.t, err)
	defer response.Body.Close()
	if response.StatusCode == http.StatusServiceUnavailable {
		return nil // it is still starting
	}
	var answer struct {
		Status, Error string
		Data          struct{ Result []sample }
	}
	require.NoError(s.t, json.NewDecoder(response.Body).Decode(&answer))
	require.Equal(s.t, "success", answer.Status, "%s: %s", expr, answer.Error)
	return answer.Data.Result
}

// first asks until there is an answer, and returns its first series.
func (s *server) first(expr string) sample {
	s.t.Helper()
	return s.await(expr, func(result []sample) bool { return len(result) > 0 })[0]
}

// await asks until the answer is enough: a scrape may fail on a busy machine.
func (s *server) await(expr string, enough func([]sample) bool) []sample {
	s.t.Helper()
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for end := time.Now().Add(2 * time.Minute); ; <-pause.C {
		result := s.query(expr)
		if enough(result) {
			return result
		}
		require.True(s.t, time.Now().Before(end), "%s: %v", expr, result)
	}
}
