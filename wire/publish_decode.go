package wire

// Publish decodes a PUBLISH into p, which it overwrites entirely. After an error p is undefined, with one
// exception: an [*Error] with the reason [QuotaExceeded] says that there are too many user properties and
// subscription identifiers. Only these are left out of p, so the packet can still be answered. p.Payload
// and the correlation data alias body. For a topic seen before, and without string properties, it does not
// allocate beyond the arena. h is the result of [ParseHeader].
func (d *Decoder) Publish(p *Publish, h Header, body []byte) error {
	if len(body) < 2 {
		return malformed(TypePublish, "ends before the topic")
	}
	next := 2 + (int(body[0])<<8 | int(body[1]))
	if next > len(body) {
		return malformed(TypePublish, "topic runs past the end")
	}
	topic := d.lastTopic
	if name := body[2:next]; string(name) != topic || topic == "" {
		var err error
		if topic, err = d.topic(name); err != nil {
			return err
		}
	}
	*p = Publish{Topic: topic, QoS: QoS(h.Flags >> 1 & 3), Retain: h.Flags&1 != 0}
	if p.QoS != AtMostOnce {
		if next+2 > len(body) {
			return malformed(TypePublish, "ends before the packet identifier")
		}
		p.PacketID = uint16(body[next])<<8 | uint16(body[next+1])
		if p.PacketID == 0 {
			return protocolError(TypePublish, "packet identifier 0") // [MQTT-2.2.1-4]
		}
		p.Duplicate = h.Flags&8 != 0
		next += 2
	} else if h.Flags&8 != 0 {
		if err := d.duplicateAtQoS0(); err != nil {
			return err
		}
	}
	if d.Version == V5 {
		if next == len(body) {
			return malformed(TypePublish, "ends before the properties")
		}
		if body[next] != 0 {
			return d.publishWithProperties(p, body[next:])
		}
		next++
	}
	if topic == "" {
		return protocolError(TypePublish, "empty topic without an alias")
	}
	p.Payload = body[next:]
	return nil
}

func (d *Decoder) publishWithProperties(p *Publish, b []byte) error {
	entry := d.arena.take()
	q := &entry.PublishProperties
	if id, n := loneSubscriptionID(b); n > 0 && p.Topic != "" && d.From != FromClient {
		entry.ids[0] = id
		q.SubscriptionIDs = entry.ids[:1]
		p.Properties, p.Payload = q, b[n:]
		return nil
	}
	entry.mixed = true
	q.SubscriptionIDs = nil // recycle leaves the one of an earlier message
	c := d.cursor(b, TypePublish)
	c.properties(TypePublish)
	for c.next() {
		switch c.property.id {
		case propPayloadFormatIndicator:
			q.PayloadFormatUTF8 = c.property.number == 1
		case propMessageExpiryInterval:
			entry.expiry = c.property.number
			q.MessageExpiryInterval = &entry.expiry
		case propTopicAlias:
			q.TopicAlias = uint16(c.property.number)
		case propResponseTopic:
			q.ResponseTopic = d.intern(c.property.data)
		case propCorrelationData:
			q.CorrelationData = c.property.data
		case propUserProperty:
			q.UserProperties = c.userProperty(q.UserProperties)
		case propSubscriptionID:
			if d.From == FromClient { // [MQTT-3.3.4-6]
				c.protocolError("Subscription Identifier from a client")
			}
			if c.excess != nil {
				break
			}
			if q.SubscriptionIDs == nil {
				q.SubscriptionIDs = entry.ids[:0]
			}
			q.SubscriptionIDs = append(q.SubscriptionIDs, c.property.number)
		case propContentType:
			q.ContentType = c.property.string()
		}
	}
	switch {
	case c.err != nil:
		return c.err
	case p.Topic == "" && q.TopicAlias == 0:
		return protocolError(TypePublish, "empty topic without an alias")
	}
	p.Properties, p.Payload = q, c.b
	if c.excess != nil {
		return c.excess
	}
	return nil
}

// loneSubscriptionID parses a property block that has one subscription identifier and nothing else, as
// most blocks have that are not empty. n is the length of the block. It is 0 for any other block, valid
// or not.
func loneSubscriptionID(b []byte) (id uint32, n int) {
	if len(b) < 3 || b[0] > 5 || b[1] != byte(propSubscriptionID) || len(b) <= int(b[0]) {
		return 0, 0
	}
	n = 1 + int(b[0])
	id, size := readVarint(b[2:n])
	if id == 0 || size != n-2 || size != varintSize(int(id)) {
		return 0, 0
	}
	return id, n
}
