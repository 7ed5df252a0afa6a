package main

import (
	"encoding/binary"
	"net"
	"sync"
)

// blockSize is how much a batched writer writes at once.
const blockSize = 64 << 10

// cycle is how many messages the firehose encodes and repeats. Each payload
// starts with its number in the cycle, so that a receiver notices what is
// missing or out of order. Above QoS 0 a cycle is a multiple of the window, and
// a packet identifier is used again only after its acknowledgement.
func cycle(qos byte, size, window, filters int) int {
	unit := filters
	if qos > 0 {
		unit = window * ((filters + window - 1) / window)
		return unit
	}
	return unit * max(1, (blockSize/(size+16)+unit-1)/unit)
}

// torrent is the encoded cycle of one connection.
type torrent struct {
	block []byte
	ends  []int // of each message in block
}

func newTorrent(s *serverSettings, v5 bool, topics []publishing) *torrent {
	n := cycle(byte(s.qos), s.size, s.window, s.filters)
	t := &torrent{ends: make([]int, n)}
	payload := make([]byte, s.size)
	for i := range n {
		if len(payload) >= 4 {
			binary.BigEndian.PutUint32(payload, uint32(i))
		}
		p := topics[i%len(topics)]
		p.qos, p.v5 = byte(s.qos), v5
		t.block = p.append(t.block, uint16(i+1), payload)
		t.ends[i] = len(t.block)
	}
	return t
}

// between returns the bytes of messages from up to to of the cycle.
func (t *torrent) between(from, to int) []byte {
	start := 0
	if from > 0 {
		start = t.ends[from-1]
	}
	return t.block[start:t.ends[to-1]]
}

// credit counts messages that may be sent. Both the firehose and the raw
// publishers use it; it costs one lock for each read, not for each message.
type credit struct {
	mu     sync.Mutex
	cond   sync.Cond
	n      int
	closed bool
}

func newCredit(n int) *credit {
	c := &credit{n: n}
	c.cond.L = &c.mu
	return c
}

func (c *credit) add(n int) {
	c.mu.Lock()
	c.n += n
	c.mu.Unlock()
	c.cond.Signal()
}

// take waits for credit and takes all there is, up to limit. It returns 0 at the end.
func (c *credit) take(limit int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.n == 0 && !c.closed {
		c.cond.Wait()
	}
	if c.closed {
		return 0
	}
	n := min(c.n, limit)
	c.n -= n
	return n
}

// await waits until the credit is n again: nothing is in flight.
func (c *credit) await(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.n < n && !c.closed {
		c.cond.Wait()
	}
	return !c.closed
}

func (c *credit) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cond.Broadcast()
}

// firehose sends as fast as the client takes it, once the client has subscribed
// to all filters: QoS 0 in blocks of 64 KiB, above whatever the window allows
// with one write.
func (s *server) firehose(nc net.Conn) (report serverReport, err error) {
	in := &intake{conn: nc, max: 256 << 10}
	a := answers{window: s.window, saw: s.saw}
	window := newCredit(s.window)
	var topics []publishing
	var writer sync.WaitGroup
	var sent uint64
	defer func() {
		window.close()
		nc.Close()
		writer.Wait()
		report.Sent = sent
		if err != nil && hungUp(err) {
			err = nil
		}
	}()
	expected, last := 1, cycle(byte(s.qos), s.size, s.window, s.filters)
	for {
		if err := in.fill(); err != nil {
			return report, err
		}
		acked, started := 0, false
		for {
			first, body, ok, err := in.next()
			if err != nil {
				return report, err
			}
			if !ok {
				break
			}
			switch first & 0xf0 {
			case typePuback, typePubcomp:
				acked++
				if id, _ := packetID(body); int(id) != expected {
					report.Disorder++
				}
				expected = expected%last + 1
			case typePubrec:
				id, err := packetID(body)
				if err != nil {
					return report, err
				}
				a.out = appendAck(a.out, typePubrel, id)
			default:
				sub, err := a.answer(first, body)
				if err != nil {
					return report, err
				}
				for _, f := range sub.filters {
					topics = append(topics, publishing{topic: f, subID: sub.subID})
				}
				started = started || len(sub.filters) > 0 && len(topics) == s.filters
			}
		}
		if len(a.out) > 0 {
			if _, err := nc.Write(a.out); err != nil {
				return report, nil
			}
			a.out = a.out[:0]
		}
		if acked > 0 {
			window.add(acked)
		}
		if started {
			t := newTorrent(&s.serverSettings, a.v5, topics)
			if s.qos == 0 {
				writer.Go(func() { sent = t.pour(nc) })
			} else {
				writer.Go(func() { sent = t.feed(nc, window) })
			}
		}
	}
}

// pour writes without limit until the connection ends.
func (t *torrent) pour(nc net.Conn) (sent uint64) {
	pieces := max(1, len(t.block)/blockSize)
	for {
		for i := range pieces {
			if _, err := nc.Write(t.block[len(t.block)*i/pieces : len(t.block)*(i+1)/pieces]); err != nil {
				return sent
			}
		}
		sent += uint64(len(t.ends))
	}
}

// feed writes what window allows until the connection ends.
func (t *torrent) feed(nc net.Conn, window *credit) (sent uint64) {
	for at := 0; ; {
		n := window.take(len(t.ends) - at)
		if n == 0 {
			return sent
		}
		if _, err := nc.Write(t.between(at, at+n)); err != nil {
			return sent
		}
		sent += uint64(n)
		at = (at + n) % len(t.ends)
	}
}
