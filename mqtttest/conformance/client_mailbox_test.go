package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMailboxDropsWhatWasPutBefore(t *testing.T) {
	for range 1000 {
		m := newMailbox[int]()
		m.put(1)
		m.put(2)
		m.drop()
		m.put(3)
		require.Equal(t, 3, <-m.out)
		m.close()
	}
}

// forgetful reports on reset what belongs to the time before.
type forgetful struct{ events chan Event }

func (f *forgetful) Hello() Hello         { return Hello{} }
func (f *forgetful) Events() <-chan Event { return f.events }
func (f *forgetful) Close() error         { return nil }

func (f *forgetful) Do(_ context.Context, op Operation) (Answer, error) {
	if op.Op == "reset" {
		f.events <- Event{Event: "message"}
	}
	return Answer{OK: true}, nil
}

func TestServeReportsNothingOfBeforeAfterReset(t *testing.T) {
	for range 200 {
		in, commands := io.Pipe()
		answers, out := io.Pipe()
		done := make(chan error, 1)
		go func() {
			done <- Serve(t.Context(), in, out, &forgetful{make(chan Event, 10)})
			_ = out.Close()
		}()
		go func() { _, _ = commands.Write([]byte("{\"op\":\"reset\"}\n{\"op\":\"ping\"}\n{\"op\":\"quit\"}\n")) }()
		text, err := io.ReadAll(answers)
		require.NoError(t, err)
		require.NoError(t, <-done)
		lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
		// The message may come before the answer, not after it.
		for i, line := range lines[len(lines)-3:] {
			var a Answer
			require.NoError(t, json.Unmarshal(line, &a))
			require.True(t, a.OK, "line %d from the end: %s", 3-i, line)
		}
	}
}
