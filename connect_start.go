package mqtt

import (
	"context"
	"fmt"
)

// Connect connects to server and returns when the server has accepted the connection.
// The URL of a server is one of
//
//	mqtt://host:1883             TCP; also tcp://
//	mqtts://host:8883            TLS; also tls:// and ssl://
//	ws://host:80/mqtt?query      WebSocket
//	wss://host:443/mqtt?query    WebSocket over TLS
//	unix:///path                 Unix socket; also mqtt+unix://
//	mqtts+unix:///path           TLS over it, with the ServerName of Config.TLS
//	ws+unix:///path:/mqtt        WebSocket over it; the path of the request follows the colon
//	wss+unix:///path:/mqtt       both
//	mqtt+srv://domain            the servers that DNS names under _mqtt._tcp.domain
//	mqtts+srv://domain           those under _secure-mqtt._tcp.domain, with TLS
//
// where ports, the path /mqtt and queries may be left out. A user and a password before
// the host are those of MQTT. With mqtts+srv the certificate has to be for the domain,
// because anyone could have put the target into DNS. A program that trusts its name
// servers sets the ServerName of Config.TLS. In a browser (GOOS=js) there are only ws and
// wss.
//
// ctx bounds only this first connection. The client then lives until Disconnect or
// Close and reconnects by itself.
//
// Connect returns the first failure unless cfg.RetryFirst is set. A refusal by the
// server is a *ServerError. Start returns a client that has no connection yet.
func Connect(ctx context.Context, server string, cfg Config) (*Client, error) {
	c, err := newClient(server, cfg)
	if err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	return c.connect(ctx, cfg.RetryFirst)
}

// Start returns a client at once and lets it connect in the background. The error is
// about server, whose forms Connect lists, or about cfg; nothing was sent then.
//
// The client can be used before it has a connection. What PublishAsync accepts waits in
// the queue. Publish, Subscribe, Request and Reconnect wait for the connection under
// their contexts. Watch tells of each attempt, and WaitConnected waits for success.
//
// The client goes on trying as it does after a lost connection: Config.Reconnect says
// how often, and RetryFirst means nothing. A permanent refusal ends the client. Err says
// why, and what waits fails with the same error.
func Start(server string, cfg Config) (*Client, error) {
	c, err := newClient(server, cfg)
	if err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	c.launch(c.ctx, true)
	return c, nil
}

// WaitConnected waits until the client has a connection, and returns at once if there is
// one. When the client has ended for good, the error wraps what Err returns. When ctx
// ends first, the error wraps its cause and why the last attempt failed. The client goes
// on trying.
func (c *Client) WaitConnected(ctx context.Context) error {
	if err := c.awaitConnection(ctx); err != nil {
		return &requestError{"wait for the connection", "", true, err}
	}
	return nil
}

// awaitConnection is WaitConnected without the name of the operation.
func (c *Client) awaitConnection(ctx context.Context) error {
	return c.awaitUnless(ctx, func() bool { return c.conn != nil && c.conn.leaving == nil })
}

// awaitFirst waits for the first connection, which decides about the version. It may be
// over by now.
func (c *Client) awaitFirst(ctx context.Context) error {
	return c.awaitUnless(ctx, func() bool { return c.conn != nil || c.status.last != nil })
}

// awaitUnless waits for the next connection, unless there is what is wanted already. It asks
// for that with engine.mu held.
func (c *Client) awaitUnless(ctx context.Context, there func() bool) error {
	established := make(chan struct{})
	c.engine.mu.Lock()
	if err := c.engine.ending; err != nil || there() {
		c.engine.mu.Unlock()
		return err
	}
	c.reconnectNow.waiting = append(c.reconnectNow.waiting, established)
	c.engine.mu.Unlock()
	select {
	case <-established:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	case <-ctx.Done():
	}
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	c.reconnectNow.forgetLocked(established)
	if failed := c.status.failed; failed != nil {
		return fmt.Errorf("%w: last attempt: %w", context.Cause(ctx), inner{failed})
	}
	return context.Cause(ctx)
}

// contextEnded returns why ctx has ended. While there is no connection, the text says why
// that is so: it is probably what the caller has waited for.
func (c *Client) contextEnded(ctx context.Context) error {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	if failed := c.status.failed; c.conn == nil && failed != nil {
		return fmt.Errorf("%w (no connection: %v)", context.Cause(ctx), inner{failed})
	}
	return context.Cause(ctx)
}

// connect begins the life of c and waits for the first connection, which ctx bounds.
func (c *Client) connect(ctx context.Context, retry bool) (*Client, error) {
	c.launch(ctx, retry)
	// The end of ctx ends the attempt, which may yet succeed in that moment. So it is the
	// outcome that is waited for.
	if err := c.awaitFirst(context.Background()); err != nil {
		<-c.done
		return nil, c.Err()
	}
	return c, nil
}

// launch begins the life of c. ctx bounds the first connection. With retry it is tried
// again and again, as later ones are.
func (c *Client) launch(ctx context.Context, retry bool) {
	c.life.Go(func() error {
		k, err := c.connector.first(ctx, retry)
		if err != nil {
			return c.connector.describe(err)
		}
		// On a goroutine of its own: the stack of this one has grown with the handshake.
		c.life.Go(func() error { return c.run(k) })
		return nil
	})
	go func() { // waits for the client's life, so that Done closes though nobody asks
		c.end(c.life.Wait())
		close(c.done) // not deferred: nobody may go on while a panic ends the program
	}()
}
