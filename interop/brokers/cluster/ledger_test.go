package cluster

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/match"
)

// jobTopic is how work is divided: each worker has one partition, and in it the messages
// of a key have to stay in order.
var jobTopic = match.MustParsePattern("jobs/{partition}/{key}")

// message is the number-th message of a key, from 0.
type message struct {
	key    string // the topic
	number int
}

func messageOf(topic string, payload []byte) message {
	number, err := strconv.Atoi(string(payload))
	if err != nil {
		number = -1
	}
	return message{topic, number}
}

func (m message) String() string { return fmt.Sprintf("%s #%d", m.key, m.number) }

// ledger is what publishers were told and what workers got.
type ledger struct {
	mu       sync.Mutex
	accepted map[message]bool
	received map[message]int
	order    map[string][]int // by key: the numbers in the order in which they came, repeats too
	byWorker map[string][]message
	changed  chan struct{}
}

func newLedger() *ledger {
	return &ledger{
		accepted: map[message]bool{}, received: map[message]int{}, order: map[string][]int{}, byWorker: map[string][]message{},
		changed: make(chan struct{}),
	}
}

func (l *ledger) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *ledger) accept(m message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted[m] = true
	l.notify()
}

func (l *ledger) receive(worker string, msg *mqtt.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := messageOf(msg.Topic, msg.Payload)
	l.received[m]++
	l.order[m.key] = append(l.order[m.key], m.number)
	l.byWorker[worker] = append(l.byWorker[worker], m)
	l.notify()
}

// missing returns the accepted messages that nobody has got.
func (l *ledger) missing() []message {
	var missing []message
	for m := range l.accepted {
		if l.received[m] == 0 {
			missing = append(missing, m)
		}
	}
	return missing
}

// disorder is a message that came for the first time after a later one of its key.
type disorder struct {
	message
	after int
}

// figures are what came of a run.
type figures struct {
	accepted, received, duplicates int
	lost                           []message // by the cluster, after PUBREC
	disorders                      []disorder
}

func (l *ledger) figures() figures {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := figures{accepted: len(l.accepted), received: len(l.received), lost: l.missing()}
	for key, numbers := range l.order {
		known, highest := map[int]bool{}, -1
		for _, n := range numbers {
			if known[n] {
				f.duplicates++
			} else if n < highest {
				f.disorders = append(f.disorders, disorder{message{key, n}, highest})
			}
			known[n] = true
			highest = max(highest, n)
		}
	}
	return f
}
