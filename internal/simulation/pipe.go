package simulation

import "time"

// pipe is one network connection. What was written is in flight until a step lets it arrive.
type pipe struct {
	client *device
	link   *link // the end of the server

	up, down         []byte    // in flight
	upDead, downDead bool      // bytes vanish, and nobody is told
	clientGone       bool      // the client has let go
	given            time.Time // when it did
	serverGone       bool      // the server has
	reset            bool      // the server's end looks like a broken network to the client
}

// fly puts bytes in flight.
func fly(flight *[]byte, dead bool, b []byte) {
	if !dead {
		*flight = append(*flight, b...)
	}
}

// land takes up to n bytes that arrive.
func land(flight *[]byte, n int) []byte {
	n = min(n, len(*flight))
	b := (*flight)[:n:n]
	*flight = (*flight)[n:]
	return b
}

// arriveUp lets up to n bytes arrive at the server, and after the last one the end.
func (p *pipe) arriveUp(n int) {
	if p.serverGone {
		p.up = nil
		return
	}
	if b := land(&p.up, n); len(b) > 0 {
		p.link.receive(b)
	}
	if len(p.up) == 0 && p.clientGone && !p.upDead && !p.serverGone {
		p.link.end("the client has gone")
	}
}

// arriveDown lets up to n bytes arrive at the client, and after the last one the end.
func (p *pipe) arriveDown(n int) {
	if p.clientGone {
		p.down = nil
		return
	}
	if b := land(&p.down, n); len(b) > 0 {
		p.client.receive(b)
	}
	if len(p.down) == 0 && p.serverGone && !p.downDead && !p.clientGone {
		p.client.serverClosed(p.reset)
	}
}
