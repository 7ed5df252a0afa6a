package main

import (
	"errors"
	"io"
	"net"
	"testing"
)

// TestSketchExchanges runs every kind of exchange that the sketch takes part in.
func TestSketchExchanges(t *testing.T) {
	for _, name := range []string{"pub0-16", "pub0-256", "pub0-1M", "async1-256", "async2-256", "block1-64", "block2-64", "seq1", "seq2",
		"recv0-16", "recv0-256", "recv0-1M", "recv1-256", "filters-100"} {
		for _, lends := range []bool{false, true} {
			t.Run(name, func(t *testing.T) { checkExchange(t, name, openSketch(lends), "") })
		}
	}
}

func TestSketchTableGivesEachIdentifierOnce(t *testing.T) {
	var table sketchTable
	handles := make(map[uint16]*sketchHandle)
	for range window {
		h := new(sketchHandle)
		id := table.add(h)
		if id == 0 || handles[id] != nil {
			t.Fatalf("identifier %d is given twice, or is zero", id)
		}
		handles[id] = h
	}
	table.complete(7)
	table.complete(7)      // a repeated acknowledgement
	table.complete(60_000) // one of nothing
	if table.used != window-1 || handles[7].wait() != nil {
		t.Errorf("%d in use", table.used)
	}
	if id := table.add(new(sketchHandle)); handles[id] != nil && id != 7 {
		t.Errorf("identifier %d is in use", id)
	}
	table.abandon()
	if err := handles[8].wait(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

// TestSketchEndsWithConnection has a server that accepts and hangs up.
func TestSketchEndsWithConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	hangUp := make(chan struct{})
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		nc.Write(appendConnack(nil, 4, 0))
		<-hangUp
		nc.Close()
	}()
	c, err := openSketch(false)(&job{scenario: scenario{qos: 1}, addr: ln.Addr().String(), payload: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	for range window {
		if err := c.(asyncPublisher).publishAsync(1); err != nil {
			t.Fatal(err)
		}
	}
	close(hangUp)
	if _, err := c.(asyncPublisher).flush(); err == nil {
		t.Error("what was not acknowledged is flushed")
	}
	if err := c.publish(1); err == nil {
		t.Error("a message without a connection is accepted")
	}
}
