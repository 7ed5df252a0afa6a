package main

import "net"

// sink takes messages and acknowledges them at negligible cost: it walks the
// packets of a read in place and sends all answers with one write.
func (s *server) sink(nc net.Conn) (report serverReport, err error) {
	in := &intake{conn: nc, max: 256 << 10}
	a := answers{window: s.window, saw: s.saw}
	for {
		if err := in.fill(); err != nil {
			if hungUp(err) {
				return report, nil
			}
			return report, err
		}
		for {
			first, body, ok, err := in.next()
			if err != nil {
				return report, err
			}
			if !ok {
				break
			}
			switch first & 0xf0 {
			case typePublish:
				report.Published++
				if first&0x06 == 0 {
					continue
				}
				id, err := publishID(body)
				if err != nil {
					return report, err
				}
				ack := byte(typePuback)
				if first&0x04 != 0 {
					ack = typePubrec
				}
				a.out = appendAck(a.out, ack, id)
			case typePubrel & 0xf0:
				id, err := packetID(body)
				if err != nil {
					return report, err
				}
				a.out = appendAck(a.out, typePubcomp, id)
			default:
				if _, err := a.answer(first, body); err != nil {
					if hungUp(err) {
						err = nil
					}
					return report, err
				}
			}
		}
		if len(a.out) > 0 {
			if _, err := nc.Write(a.out); err != nil {
				return report, nil
			}
			a.out = a.out[:0]
		}
	}
}
