package bolt_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

const (
	crashWriters = 16
	crashParts   = 5
)

// commitUntilKilled commits batches and prints the writer and number of each after
// Commit has returned. A batch is several records of various lengths; it deletes the
// batch ten before, so that pages become free and are used again, and the file
// grows, shrinks and is replaced.
func commitUntilKilled(path string) error {
	f, err := bolt.OpenShrinking(path, 1<<20)
	if err != nil {
		return err
	}
	next := map[int]int{}
	for r, err := range f.Scan(nil) {
		if err != nil {
			return err
		}
		writer, batch, _ := parseKey(string(r.Key))
		next[writer] = max(next[writer], batch+1)
	}
	fmt.Println("open")
	var writers sync.WaitGroup
	var output sync.Mutex
	for writer := range crashWriters {
		writers.Go(func() {
			for batch := next[writer]; ; batch++ {
				if err := f.Commit(crashBatch(writer, batch)); err != nil {
					panic(err)
				}
				output.Lock()
				fmt.Println(writer, batch)
				output.Unlock()
			}
		})
	}
	writers.Wait()
	return nil
}

func crashBatch(writer, batch int) (ops []store.Op) {
	for part := range crashParts {
		value := strings.Repeat(strconv.Itoa(batch), 1+part*(batch%20)*20)
		if batch%100 == 50 {
			value = strings.Repeat(value, 20)
		}
		ops = append(ops, set(crashKey(writer, batch, part), value)...)
		ops = append(ops, del(crashKey(writer, batch-10, part))...)
	}
	return ops
}

func crashKey(writer, batch, part int) string { return fmt.Sprintf("%d/%d/%d", writer, batch, part) }

func parseKey(key string) (writer, batch, part int) {
	if _, err := fmt.Sscanf(key, "%d/%d/%d", &writer, &batch, &part); err != nil {
		panic(err)
	}
	return writer, batch, part
}

// This is about the end of the process, not of the machine: what was written is in
// the system's memory and survives SIGKILL without any fsync. That Commit waits for
// the disk is for TestCommitFailsWhenTheDiskDoesNotSync.
func TestWhatWasCommittedSurvivesTheEndOfTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	random := rand.New(rand.NewPCG(3, 4))
	reported := map[int]int{}
	for range 16 {
		cmd, out := startChild(t, "commit", path)
		line, err := out.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "open\n", line)
		time.AfterFunc(time.Duration(random.IntN(120_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		rest := restOf(t, out)
		require.ErrorContains(t, cmd.Wait(), "killed", rest)
		complete := rest[:strings.LastIndexByte(rest, '\n')+1]
		for line := range strings.Lines(complete) {
			var writer, batch int
			_, err := fmt.Sscanln(line, &writer, &batch)
			require.NoError(t, err, line)
			reported[writer] = max(reported[writer], batch)
		}
		checkCrashed(t, path, reported)
	}
	require.Len(t, reported, crashWriters)
}

func TestAFileWhoseCreationWasInterruptedCanBeOpened(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 25 {
		path := filepath.Join(t.TempDir(), "store")
		cmd, out := startChild(t, "commit", path)
		time.AfterFunc(time.Duration(random.IntN(15_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		restOf(t, out)
		require.ErrorContains(t, cmd.Wait(), "killed")
		f := open(t, path)
		require.NoError(t, f.Commit(set("a", "1")))
		require.Contains(t, records(t, f), "a=1")
		require.NoError(t, f.Close())
	}
}

// checkCrashed finds each writer's last ten batches, whole, up to the one that was
// reported or the one that was under way then.
func checkCrashed(t *testing.T, path string, reported map[int]int) {
	t.Helper()
	f := open(t, path)
	found := map[string]string{}
	last := map[int]int{}
	for r, err := range f.Scan(nil) {
		require.NoError(t, err)
		found[string(r.Key)] = string(r.Value)
		writer, batch, _ := parseKey(string(r.Key))
		last[writer] = max(last[writer], batch)
	}
	require.NoError(t, f.Close())
	want := map[string]string{}
	for writer, batch := range last {
		require.GreaterOrEqual(t, batch, reported[writer], "writer %d", writer)
		require.LessOrEqual(t, batch, reported[writer]+1, "writer %d", writer)
		reported[writer] = batch
		for batch := max(0, batch-9); batch <= last[writer]; batch++ {
			for _, op := range crashBatch(writer, batch) {
				if !op.Delete {
					want[string(op.Key)] = string(op.Value)
				}
			}
		}
	}
	require.Len(t, last, len(reported))
	require.Equal(t, want, found)
}
