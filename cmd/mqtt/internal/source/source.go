// Package source reads the messages that a command is to publish: one from an argument, a
// file or standard input, or one from each line.
package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"text/template"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/format"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/message"
)

// largest is the largest payload that a packet can have, roughly. A longer line is an
// error before it is in memory.
const largest = 256 << 20

// An Item is one message to publish, or what is wrong with it.
type Item struct {
	Message *mqtt.Message
	Err     error // about this message alone
}

// Source is what a command is to publish.
type Source struct {
	flags *Flags
	in    io.Reader
	build func(n int, payload []byte) (*mqtt.Message, error)
	whole []byte // the payload, unless each line is one
	err   error
}

// Open reads the payload, unless each line is one. base has what messages have beside it.
func (f *Flags) Open(in io.Reader, base mqtt.Message) (s *Source, err error) {
	base.Topic = f.topic
	s = &Source{flags: f, in: in}
	if s.build, err = f.builder(base); err != nil {
		return nil, err
	}
	if !f.lines && !f.records {
		s.whole, err = f.payload(in)
	}
	return s, err
}

// Items yields the messages, with --interval between them, until the input or ctx ends.
// Err then says whether the input ended as it should.
func (s *Source) Items(ctx context.Context) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		first := true
		paced := func(i Item) bool {
			if !first && !wait(ctx, time.Duration(s.flags.interval)) {
				s.err = context.Cause(ctx)
				return false
			}
			first = false
			return yield(i)
		}
		if s.flags.lines || s.flags.records {
			if err := s.each(ctx, paced); s.err == nil {
				s.err = err
			}
			return
		}
		for n := range s.flags.repeat {
			m, err := s.build(int(n)+1, s.whole)
			if !paced(Item{m, err}) {
				return
			}
		}
	}
}

// Err returns why Items ended before the end of the input.
func (s *Source) Err() error { return s.err }

// wait waits for d and reports whether ctx lives.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// payload reads the payload of all messages.
func (f *Flags) payload(in io.Reader) ([]byte, error) {
	switch {
	case f.nothing:
		return nil, nil
	case f.file != "":
		file, err := os.Open(f.file)
		if err != nil {
			return nil, exit.With(exit.Usage, err)
		}
		defer file.Close()
		return readAll(file)
	case f.stdin:
		return readAll(in)
	}
	return []byte(f.text), nil
}

func readAll(in io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(in, largest+1))
	if err == nil && len(b) > largest {
		err = errors.New("the payload is larger than a packet can be, 256 MiB")
	}
	return b, err
}

// each reads lines and yields a message for each, until the input or ctx ends.
func (s *Source) each(ctx context.Context, yield func(Item) bool) error {
	lines, failure := readLines(ctx, s.in)
	for n := 1; ; n++ {
		var line []byte
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case l, ok := <-lines:
			if !ok {
				return <-failure
			}
			line = l
		}
		if s.flags.records && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		m, err := s.build(n, line)
		if err != nil {
			err = fmt.Errorf("line %d: %w", n, err)
		}
		if !yield(Item{m, err}) {
			return nil
		}
	}
}

// readLines reads lines on a goroutine, because a read cannot be cancelled: it lives until
// the read returns or the process ends.
func readLines(ctx context.Context, in io.Reader) (lines <-chan []byte, failure <-chan error) {
	out, failed := make(chan []byte), make(chan error, 1)
	go func() {
		defer close(out)
		reader := bufio.NewReaderSize(in, 64<<10)
		for {
			line, err := readLine(reader)
			if len(line) > 0 || err == nil {
				select {
				case out <- bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")):
				case <-ctx.Done():
					failed <- context.Cause(ctx)
					return
				}
			}
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				failed <- err
				return
			}
		}
	}()
	return out, failed
}

func readLine(reader *bufio.Reader) (line []byte, err error) {
	for {
		part, err := reader.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > largest {
			return nil, errors.New("a line is longer than a packet can be, 256 MiB")
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// builder returns what makes message n of a payload.
func (f *Flags) builder(base mqtt.Message) (func(n int, payload []byte) (*mqtt.Message, error), error) {
	if f.records {
		return func(_ int, line []byte) (*mqtt.Message, error) {
			r, err := message.ParseRecord(line)
			if err != nil {
				return nil, err
			}
			return r.Message(base)
		}, nil
	}
	if !f.template {
		return func(_ int, payload []byte) (*mqtt.Message, error) {
			m := base
			m.Payload = payload
			return &m, nil
		}, nil
	}
	return f.templates(base)
}

// templates returns a builder that fills in topic and payload.
func (f *Flags) templates(base mqtt.Message) (func(n int, payload []byte) (*mqtt.Message, error), error) {
	topic, err := template.New("topic").Funcs(format.Functions).Parse(f.topic)
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	// With --lines each payload is its line as it is: what comes from outside is no template.
	var cached *template.Template
	return func(n int, payload []byte) (*mqtt.Message, error) {
		data := struct {
			N    int
			Line string
			Time time.Time
		}{n, string(payload), time.Now()}
		m := base
		var b strings.Builder
		if err := topic.Execute(&b, data); err != nil {
			return nil, err
		}
		m.Topic, m.Payload = b.String(), payload
		if f.lines {
			return &m, nil
		}
		if cached == nil {
			if cached, err = template.New("payload").Funcs(format.Functions).Parse(string(payload)); err != nil {
				return nil, exit.With(exit.Usage, err)
			}
		}
		var text bytes.Buffer
		err := cached.Execute(&text, data)
		m.Payload = text.Bytes()
		return &m, err
	}, nil
}
