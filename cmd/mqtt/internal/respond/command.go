package respond

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt"
)

const (
	largestResponse = 256 << 20 // what a packet can hold, roughly
	largestError    = 1 << 10   // of what a command says about its failure
)

// A program answers requests: a run of it for each, with the payload on standard input.
type program struct {
	args    []string
	timeout time.Duration // zero: no limit
	stderr  io.Writer
}

func (p program) answer(ctx context.Context, m *mqtt.Message) ([]byte, error) {
	if p.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("no response within %v", p.timeout))
		defer cancel()
	}
	c := exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	c.Env = append(os.Environ(), variables(m)...)
	c.Stdin = bytes.NewReader(m.Payload)
	stdout, stderr := &limited{limit: largestResponse}, &tail{}
	c.Stdout, c.Stderr = stdout, io.MultiWriter(stderr, p.stderr)
	c.WaitDelay = time.Second // a child that keeps the pipes open does not keep the request
	together(c)
	err := c.Run()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case stdout.exceeded:
		return nil, errors.New("the response is larger than a packet can be, 256 MiB")
	case err != nil && stderr.String() != "":
		return nil, errors.New(stderr.String())
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return nil, err
	}
	return stdout.Bytes(), nil
}

// variables describe the request in the environment of the command.
func variables(m *mqtt.Message) []string {
	all := []string{
		"MQTT_MESSAGE_TOPIC=" + m.Topic,
		fmt.Sprintf("MQTT_MESSAGE_QOS=%d", m.QoS),
		fmt.Sprintf("MQTT_MESSAGE_RETAIN=%t", m.Retain),
		"MQTT_MESSAGE_CONTENT_TYPE=" + m.ContentType,
		"MQTT_MESSAGE_RESPONSE_TOPIC=" + m.ResponseTopic,
		"MQTT_MESSAGE_CORRELATION_DATA_HEX=" + hex.EncodeToString(m.CorrelationData),
	}
	for _, p := range m.UserProperties {
		all = append(all, "MQTT_MESSAGE_PROPERTY_"+variableName(p.Name)+"="+p.Value)
	}
	return all
}

// variableName returns a name in capitals, with _ for what names of variables lack.
func variableName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, s)
}

// limited is a buffer that takes only so much. It refuses the rest, which ends the
// command.
type limited struct {
	bytes.Buffer
	limit    int
	exceeded bool
}

// Write appends p unless that is too much.
func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > l.limit {
		l.exceeded = true
		return 0, errors.New("too long")
	}
	return l.Buffer.Write(p)
}

// tail keeps the last of what is written.
type tail struct{ text []byte }

// Write keeps the end of p.
func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if extra := len(t.text) - largestError; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

// String returns the text without blanks around it.
func (t *tail) String() string { return strings.TrimSpace(strings.ToValidUTF8(string(t.text), "")) }
