package wire

const (
	maxTopics      = 16384 // names remembered per decoder
	maxTopicLength = 256   // a longer name is not remembered
	topicOverhead  = 96    // bytes per name besides its text

	// The size of the table in bytes. A server has many clients, but a client has one server.
	maxTopicBytes       = 2 << 20 // enough for all the names
	maxClientTopicBytes = 64 << 10
)

// topicTable remembers valid topic names, so that a repeated name needs neither a check nor an
// allocation. It is bounded: when it is full, it starts anew.
type topicTable struct {
	names map[string]string
	bytes int
}

func (t *topicTable) add(name []byte, most int) string {
	s := string(name)
	if len(s) > maxTopicLength {
		return s
	}
	if t.names == nil || len(t.names) == maxTopics || t.bytes+len(s)+topicOverhead > most {
		*t = topicTable{names: make(map[string]string)}
	}
	t.names[s] = s
	t.bytes += len(s) + topicOverhead
	return s
}

// topic checks a received topic name, which may be empty, and returns it as a string.
func (d *Decoder) topic(name []byte) (string, error) {
	if len(name) == 0 {
		return "", nil
	}
	if s, ok := d.topics.names[string(name)]; ok {
		d.lastTopic = s
		return s, nil
	}
	switch {
	case !validText(name):
		return "", malformed(TypePublish, "topic is not UTF-8 or holds U+0000") // [MQTT-3.3.2-1]
	case !validTopicName(name):
		return "", protocolError(TypePublish, "topic holds a wildcard") // [MQTT-3.3.2-2]
	}
	s := d.topics.add(name, d.topicBytes())
	if len(s) <= maxTopicLength {
		d.lastTopic = s
	}
	return s, nil
}

// intern returns a checked topic name as a string.
func (d *Decoder) intern(name []byte) string {
	if s, ok := d.topics.names[string(name)]; ok {
		return s
	}
	return d.topics.add(name, d.topicBytes())
}

// topicBytes returns the size limit of the topic table.
func (d *Decoder) topicBytes() int {
	if d.From == FromClient {
		return maxClientTopicBytes
	}
	return maxTopicBytes
}
