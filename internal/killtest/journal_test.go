package killtest

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// What a line of the log says first.
const (
	lineStart    = "start"    // a process begins
	linePublish  = "publish"  // topic number: about to be published
	lineAccepted = "accepted" // topic number
	lineReported = "reported" // topic number error: Config.Undelivered was called
	lineReceived = "received" // topic number key DUP: before the acknowledgement
	lineUnproven = "unproven" // a session that may be another one
)

// journal is the log of the program, which all its processes write.
type journal struct{ file *os.File }

func openJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return &journal{file}, err
}

// write writes a line. It is safe for concurrent use: each line is one write to a file
// that is appended to.
func (j *journal) write(what string, args ...any) {
	if _, err := j.file.WriteString(strings.Join(append([]string{what}, words(args)...), " ") + "\n"); err != nil {
		panic(err) // without a log nothing can be checked
	}
}

func words(args []any) (texts []string) {
	for _, a := range args {
		texts = append(texts, fmt.Sprint(a))
	}
	return texts
}

// entry is a line of the log.
type entry struct {
	what    string
	process int // from 1
	message
	key string
	dup bool
}

func readJournal(path string) ([]entry, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var entries []entry
	process := 0
	for line := range strings.Lines(string(text)) {
		e := entry{}
		var rest string
		e.what, rest, _ = strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch e.what {
		case lineStart:
			process++
		case linePublish, lineAccepted, lineReported:
			_, err = fmt.Sscan(rest, &e.topic, &e.number)
		case lineReceived:
			_, err = fmt.Sscan(rest, &e.topic, &e.number, &e.key, &e.dup)
		case lineUnproven:
		default:
			err = errors.New("it means nothing")
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		e.process = process
		entries = append(entries, e)
	}
	return entries, nil
}
