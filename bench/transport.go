package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// transport is what carries the packets of a scenario.
type transport string

const (
	overTCP       transport = ""
	overTLS       transport = "tls"
	overWebSocket transport = "ws"
)

// url is the address of the server as every library understands it.
func (j *job) url() string {
	switch j.transport {
	case overTLS:
		return "mqtts://" + j.addr
	case overWebSocket:
		return "ws://" + j.addr + "/mqtt"
	}
	return "mqtt://" + j.addr
}

// dial connects without a library for MQTT.
func (j *job) dial() (net.Conn, error) {
	switch j.transport {
	case overTLS:
		cfg, err := j.tlsConfig()
		if err != nil {
			return nil, err
		}
		return tls.Dial("tcp", j.addr, cfg)
	case overWebSocket:
		c, _, err := websocket.Dial(context.Background(), j.url(), &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
		if err != nil {
			return nil, err
		}
		return newWebSocketConn(c), nil
	}
	return net.Dial("tcp", j.addr)
}

// tlsConfig trusts the server of this run. It is nil without TLS.
func (j *job) tlsConfig() (*tls.Config, error) {
	if j.transport != overTLS {
		return nil, nil
	}
	return trusting(j.certificate)
}

// webSocketConn carries a stream in the messages of a WebSocket: each Write is
// one message. Close does not wait for the other side.
type webSocketConn struct {
	net.Conn
	c *websocket.Conn
}

func newWebSocketConn(c *websocket.Conn) webSocketConn {
	return webSocketConn{websocket.NetConn(context.Background(), c, websocket.MessageBinary), c}
}

func (w webSocketConn) Close() error { return w.c.CloseNow() }

// accept serves connections until ln is closed.
func (s *server) accept(ln net.Listener) {
	if s.transport == overWebSocket {
		http.Serve(ln, http.HandlerFunc(s.upgrade))
		return
	}
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		if s.tls != nil {
			nc = tls.Server(nc, s.tls)
		}
		s.wg.Go(func() { s.serveConn(nc) })
	}
}

func (s *server) upgrade(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
	if err == nil {
		s.wg.Add(1) // while accept runs, which is counted
		defer s.wg.Done()
		s.serveConn(newWebSocketConn(c))
	}
}

// hungUp says that err is only the end of a client.
func hungUp(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || websocket.CloseStatus(err) >= 0 {
		return true
	}
	_, network := errors.AsType[net.Error](err)
	return network
}
