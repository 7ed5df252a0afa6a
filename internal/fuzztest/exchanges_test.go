package fuzztest

import "github.com/seed65a45251/mqtt/wire"

// exchanges knows which exchanges are open on a connection, in the eyes of one side, which
// sends any frames. The other side is judged: it received these frames, and its own come
// here.
type exchanges struct {
	fail func(format string, args ...any)
	who  string // is judged
	late bool   // the side here was deaf: what it gets is older than what it has sent

	used    map[uint16]wire.PacketType // by who, without an answer from here
	asked   map[wire.PacketType]map[uint16]int
	aliases map[uint16]string
}

// answers says which packets are answers, and to what.
var answers = map[wire.PacketType]wire.PacketType{
	wire.TypePuback: wire.TypePublish, wire.TypePubrec: wire.TypePublish, wire.TypePubcomp: wire.TypePubrel,
	wire.TypeSuback: wire.TypeSubscribe, wire.TypeUnsuback: wire.TypeUnsubscribe, wire.TypePingresp: wire.TypePingreq,
}

func (x *exchanges) begin(failf func(string, ...any), who string) {
	x.fail, x.who = failf, who
	x.used, x.aliases = map[uint16]wire.PacketType{}, map[uint16]string{}
	x.asked = map[wire.PacketType]map[uint16]int{}
	for answer := range answers {
		x.asked[answer] = map[uint16]int{}
	}
}

// sent notes a frame from here.
func (x *exchanges) sent(f Frame) {
	id := f.PacketID()
	switch f.Type {
	case wire.TypePublish:
		switch f.QoS() {
		case wire.AtLeastOnce:
			x.asked[wire.TypePuback][id]++
		case wire.ExactlyOnce:
			x.asked[wire.TypePubrec][id]++
		}
	case wire.TypePubrec:
		if failed(f) {
			delete(x.used, id)
		}
	case wire.TypePuback, wire.TypePubcomp, wire.TypeSuback, wire.TypeUnsuback:
		delete(x.used, id)
	}
	for answer, to := range answers {
		if to == f.Type && to != wire.TypePublish {
			x.asked[answer][id]++
		}
	}
}

// failed reports whether an acknowledgement says that something has failed.
func failed(f Frame) bool { return len(f.Body) > 2 && wire.ReasonCode(f.Body[2]).Failed() }

// received judges a frame of the other side.
func (x *exchanges) received(f Frame) {
	id := f.PacketID()
	if asked, answer := x.asked[f.Type]; answer {
		if asked[id]--; asked[id] < 0 {
			x.fail("%s sent %v %d once too often", x.who, f.Type, id)
		}
		return
	}
	switch {
	case f.Type == wire.TypePublish && f.QoS() == wire.AtMostOnce:
	case f.Type == wire.TypePublish, f.Type == wire.TypeSubscribe, f.Type == wire.TypeUnsubscribe:
		if before, used := x.used[id]; used && !x.late {
			x.fail("%s sent %v with identifier %d, which is in use by %v", x.who, f.Type, id, before)
		}
		x.used[id] = f.Type
	}
}

// quota judges how many messages are open; zero means that any number may be.
func (x *exchanges) quota(most int) {
	open := 0
	for _, t := range x.used {
		if t == wire.TypePublish {
			open++
		}
	}
	if most > 0 && open > most && !x.late {
		x.fail("%d messages of %s are open, and %d were allowed", open, x.who, most)
	}
}

// alias judges the alias of a message and returns its topic. most is how many there may
// be; if negative, that is not known.
func (x *exchanges) alias(p *wire.Publish, most int) (topic string) {
	alias := uint16(0)
	if p.Properties != nil {
		alias = p.Properties.TopicAlias
	}
	if most >= 0 && int(alias) > most {
		x.fail("%s sent alias %d of %d", x.who, alias, most)
	}
	if p.Topic != "" {
		x.aliases[alias] = p.Topic
		return p.Topic
	}
	if alias == 0 || x.aliases[alias] == "" {
		x.fail("%s sent alias %d, which stands for nothing", x.who, alias)
	}
	return x.aliases[alias]
}
