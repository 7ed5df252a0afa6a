package wire

import "unsafe"

// Cost returns how many bytes of memory the message takes: its topic, its payload and its properties as
// they lie in memory. Every limit in bytes, of the client and of the broker, counts by it. The structs that
// every message has are left out: limits of the number of messages bound them.
func (p *Publish) Cost() int { return len(p.Topic) + len(p.Payload) + p.Properties.Cost() }

// Cost returns how many bytes of memory the values of the properties take. It is 0 for nil.
func (p *PublishProperties) Cost() int {
	if p == nil {
		return 0
	}
	n := len(p.ContentType) + len(p.ResponseTopic) + len(p.CorrelationData) + CostOf(p.UserProperties)
	if len(p.SubscriptionIDs) > fewIDs {
		n += len(p.SubscriptionIDs) * int(unsafe.Sizeof(p.SubscriptionIDs[0]))
	}
	return n
}

// fewIDs is how many subscription identifiers fit into the structs of a message.
const fewIDs = 3

// CostOf returns how many bytes of memory user properties take. Each has two strings besides its text, so
// many short ones take more than their bytes on the wire.
func CostOf(properties []UserProperty) (n int) {
	for i := range properties {
		n += int(unsafe.Sizeof(properties[i])) + len(properties[i].Name) + len(properties[i].Value)
	}
	return n
}
