package main

// subscribe counts packets without looking into them, except for what an
// acknowledgement needs.
func (r *raw) subscribe(filters []string, qos byte, t *tally) error {
	for i, f := range filters {
		if err := r.ask(appendSubscribe(nil, uint16(i+1), f, qos), typeSuback); err != nil {
			return err
		}
	}
	if r.kind == idling {
		r.in = &intake{conn: r.in.conn, max: r.in.max}
		return nil
	}
	go r.receive(t)
	return nil
}

func (r *raw) receive(t *tally) {
	var out []byte
	for {
		n := uint64(0)
		for {
			first, body, ok, err := r.in.next()
			if err != nil {
				return
			}
			if !ok {
				break
			}
			switch first & 0xf6 {
			case typePublish:
				n++
			case typePublish | 0x02:
				n++
				id, _ := publishID(body)
				out = appendAck(out, typePuback, id)
			case typePublish | 0x04:
				n++
				id, _ := publishID(body)
				out = appendAck(out, typePubrec, id)
			case typePubrel:
				id, _ := packetID(body)
				out = appendAck(out, typePubcomp, id)
			}
			if r.style == oneByOne && len(out) > 0 {
				r.in.conn.Write(out)
				out = out[:0]
			}
		}
		t.n.Add(n)
		if len(out) > 0 {
			if _, err := r.in.conn.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
		if err := r.in.fill(); err != nil {
			return
		}
	}
}
