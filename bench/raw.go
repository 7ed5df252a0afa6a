package main

import (
	"fmt"
	"io"
	"sync/atomic"
)

// style is how a raw client writes.
type style uint8

const (
	oneByOne style = iota // encoded beforehand, one write for each message
	batched               // encoded beforehand, 64 KiB or all that the window allows for each write
	encoding              // as batched, but encodes every message: the limit for a real client
	handed                // as oneByOne, but a goroutine reads and hands answers over, as in a client that can receive at any time
)

// raw is a hand-written loop for one scenario: what the machine can do.
type raw struct {
	*job
	style   style
	in      *intake
	packets *torrent // window packets; their identifiers are 1 to window
	barrier []byte
	batch   []byte

	// For QoS 1 and 2: a goroutine reads acknowledgements.
	credit *credit
	at     int // next packet

	answers chan byte // with handed: first bytes of what came in
}

func openRaw(st style) func(*job) (client, error) {
	return func(j *job) (client, error) {
		nc, err := j.dial()
		if err != nil {
			return nil, err
		}
		r := &raw{job: j, style: st, in: &intake{conn: nc, max: 256 << 10}}
		if err := r.ask(appendConnect(nil, j.clientID), typeConnack); err != nil {
			return nil, err
		}
		if j.kind == idling {
			r.in = &intake{conn: nc, max: r.in.max}
			return r, nil
		}
		p := publishing{topic: topic, qos: j.qos}
		n := window
		if j.qos == 0 {
			n = max(1, blockSize/(j.size+16))
		}
		r.packets = &torrent{}
		for i := range n {
			r.packets.block = p.append(r.packets.block, uint16(i+1), j.payload)
			r.packets.ends = append(r.packets.ends, len(r.packets.block))
		}
		p.qos = 1
		r.barrier = p.append(nil, 1, j.payload)
		switch j.kind {
		case async:
			r.credit = newCredit(window)
			go r.acknowledged()
		case loaded:
			r.credit = newCredit(0)
			go r.acknowledged()
		}
		if st == handed {
			r.answers = make(chan byte, 1)
			go r.hand()
		}
		return r, nil
	}
}

// ask writes a packet and reads one, which must be an answer.
func (r *raw) ask(packet []byte, answer byte) error {
	if _, err := r.in.conn.Write(packet); err != nil {
		return err
	}
	var first byte
	var err error
	if r.answers == nil {
		first, err = r.read()
	} else {
		first = <-r.answers
	}
	if err == nil && first != answer {
		err = fmt.Errorf("got packet %#x instead of %#x", first, answer)
	}
	return err
}

// read waits for the next packet.
func (r *raw) read() (first byte, err error) {
	for {
		if first, _, ok, err := r.in.next(); ok || err != nil {
			return first, err
		}
		if err := r.in.fill(); err != nil {
			return 0, err
		}
	}
}

func (r *raw) hand() {
	defer close(r.answers)
	for {
		first, err := r.read()
		if err != nil {
			return
		}
		r.answers <- first
	}
}

func (r *raw) publish(qos byte) error {
	if qos == 2 {
		if err := r.ask(r.packets.between(0, 1), typePubrec); err != nil {
			return err
		}
		return r.ask(appendAck(nil, typePubrel, 1), typePubcomp)
	}
	return r.ask(r.barrier, typePuback)
}

func (r *raw) pump(stop *atomic.Bool) (uint64, error) {
	if r.kind == async {
		return r.pumpWindow(stop)
	}
	n, err := r.pumpFree(stop)
	if err != nil {
		return n, err
	}
	return n, r.publish(1)
}

func (r *raw) pumpFree(stop *atomic.Bool) (n uint64, err error) {
	nc, count := r.in.conn, len(r.packets.ends)
	for !stop.Load() {
		switch r.style {
		case oneByOne:
			_, err = nc.Write(r.packets.between(0, 1))
			n++
		case batched:
			_, err = nc.Write(r.packets.block)
			n += uint64(count)
		case encoding:
			_, err = nc.Write(r.encode(0, count))
			n += uint64(count)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// encode makes packets from up to to anew.
func (r *raw) encode(from, to int) []byte {
	p := publishing{topic: topic, qos: r.qos}
	r.batch = r.batch[:0]
	for i := from; i < to; i++ {
		r.batch = p.append(r.batch, uint16(i+1), r.payload)
	}
	return r.batch
}

func (r *raw) pumpWindow(stop *atomic.Bool) (n uint64, err error) {
	most := window
	if r.style == oneByOne {
		most = 1
	}
	for !stop.Load() {
		k := r.credit.take(min(most, window-r.at))
		if k == 0 {
			return n, io.ErrUnexpectedEOF
		}
		b := r.packets.between(r.at, r.at+k)
		if r.style == encoding {
			b = r.encode(r.at, r.at+k)
		}
		if _, err := r.in.conn.Write(b); err != nil {
			return n, err
		}
		n += uint64(k)
		r.at = (r.at + k) % window
	}
	if !r.credit.await(window) {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}

// submit writes one message, and submitAll all that are due.
func (r *raw) submit(slot int) error { return r.submitAll(slot, slot+1) }

func (r *raw) submitAll(from, to int) (err error) {
	step := to - from
	if r.style == oneByOne {
		step = 1
	}
	for ; from < to && err == nil; from += step {
		_, err = r.in.conn.Write(r.packets.between(from, from+step))
	}
	return err
}

// await relies on the order of acknowledgements.
func (r *raw) await(int) error {
	if r.credit.take(1) == 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// acknowledged reads acknowledgements until the end of the connection.
func (r *raw) acknowledged() {
	defer r.credit.close()
	var out []byte
	for r.in.fill() == nil {
		done := 0
		for {
			first, body, ok, err := r.in.next()
			if err != nil {
				return
			}
			if !ok {
				break
			}
			switch first {
			case typePuback, typePubcomp:
				done++
			case typePubrec:
				id, _ := packetID(body)
				out = appendAck(out, typePubrel, id)
				if r.style == oneByOne {
					r.in.conn.Write(out)
					out = out[:0]
				}
			}
		}
		if len(out) > 0 {
			r.in.conn.Write(out)
			out = out[:0]
		}
		if done > 0 {
			r.credit.add(done)
		}
	}
}

func rawClients() []entry {
	sent := []kind{publishing0, async}
	received := []kind{receiving, dispatching}
	// One write for each message or acknowledgement is a limit only where there are any.
	acknowledged := func(s *scenario) bool { return s.kind != receiving || s.qos > 0 }
	return []entry{
		{name: "raw64k", role: limit, kinds: append(append(sent, received...), loaded), open: openRaw(batched)},
		{name: "rawenc", role: limit, kinds: sent, open: openRaw(encoding)},
		{name: "raw1", role: limit, kinds: append(sent, sequential, receiving, loaded, idling), only: acknowledged, open: openRaw(oneByOne)},
		{name: "fsync", role: limit, kinds: []kind{durable}, stores: true, open: openFsyncLimit},
		{name: "raw1-handed", role: limit, kinds: []kind{sequential}, open: openRaw(handed)},
	}
}
