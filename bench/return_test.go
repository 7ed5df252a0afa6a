package main

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestWitnessTellsOfConnectAndSubscribe(t *testing.T) {
	var b bytes.Buffer
	saw := witness(time.Now().Add(-20*time.Millisecond), &b)
	for _, first := range []byte{typeConnect, typePingreq, typeConnect, typeSubscribe, typeConnect} {
		saw(first)
	}
	c, err := testimony(bufio.NewReader(&b))
	if err != nil {
		t.Fatal(err)
	}
	if c.Connect < 20 || c.Subscribe < c.Connect || c.Subscribe > 10_000 {
		t.Errorf("%+v", c)
	}
	if rest := b.String(); strings.Contains(rest, "SUBSCRIBE") {
		t.Errorf("left: %q", rest)
	}
}

func TestTestimonyNeedsSubscribe(t *testing.T) {
	for _, said := range []string{"", "CONNECT 5\n", "hello\n"} {
		if c, err := testimony(bufio.NewReader(strings.NewReader(said))); err == nil {
			t.Errorf("%q: %+v", said, c)
		}
	}
}
