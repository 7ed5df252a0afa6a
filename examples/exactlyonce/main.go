// Exactlyonce adds up what it receives at QoS 2, each message once, however often it is
// killed. Start it, kill it with SIGKILL, and start it again with the same directory:
//
//	go run ./examples/exactlyonce -server mqtt://localhost:1883 -dir /var/lib/exactlyonce
//
// Without -server it brings its own broker and publishes to itself.
//
// MQTT promises that a QoS 2 message is handed over once to a process. A process that is
// killed between taking a message and acknowledging it gets the message again. So the
// program writes the key of the message and what follows from it in one transaction, and
// acknowledges the message after that. A key that it knows says: this was taken. (Keys of
// messages that were acknowledged an hour ago do not come again and could be removed.)
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

func main() {
	server := flag.String("server", "", "URL of an MQTT server; empty: an embedded broker")
	dir := flag.String("dir", "", "where the files are; empty: a temporary directory")
	count := flag.Int("n", 100, "how many messages to take before the end; 0: no end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *server, *dir, *count); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "exactlyonce:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, server, dir string, count int) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "exactlyonce"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	session, err := bolt.Open(filepath.Join(dir, "session"), bolt.Config{})
	if err != nil {
		return err
	}
	defer session.Close()
	books, err := openLedger(filepath.Join(dir, "ledger"))
	if err != nil {
		return err
	}
	defer books.close()
	link, err := newLink(ctx, server)
	if err != nil {
		return err
	}
	defer link.close()

	client, err := mqtt.Connect(ctx, link.url, mqtt.Config{ClientID: "exactlyonce", Store: session})
	if err != nil {
		return err
	}
	defer client.Close()
	sub, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters:   []mqtt.Filter{{Filter: "payments", QoS: mqtt.ExactlyOnce}},
		ManualAck: true,
	})
	if err != nil {
		return err
	}
	fmt.Printf("subscribed; %d payments, %d in all\n", books.payments, books.total)
	if err := link.feed(ctx, count); err != nil {
		return err
	}
	for taken := 0; count == 0 || taken < count; taken++ {
		m, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		if err := books.take(m); err != nil {
			return err
		}
		if err := m.Ack(); err != nil {
			return err
		}
		fmt.Printf("%d payments, %d in all\n", books.payments, books.total)
	}
	return client.Disconnect(ctx)
}

// ledger is the program's own database: a total, and the keys of the messages in it.
type ledger struct {
	file            *bolt.File
	payments, total int
}

func openLedger(path string) (*ledger, error) {
	file, err := bolt.Open(path, bolt.Config{})
	if err != nil {
		return nil, err
	}
	l := &ledger{file: file}
	for r, err := range file.Scan([]byte("total")) {
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		if _, err := fmt.Sscan(string(r.Value), &l.payments, &l.total); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return l, nil
}

func (l *ledger) close() error { return l.file.Close() }

// take adds a payment unless it is in the total already. The total and the key change
// together or not at all.
func (l *ledger) take(m *mqtt.Message) error {
	amount, err := strconv.Atoi(string(m.Payload))
	if err != nil {
		return nil // not a payment: nothing follows from it
	}
	key := []byte("key " + m.Key())
	for _, err := range l.file.Scan(key) {
		return err // nil: the message is taken
	}
	payments, total := l.payments+1, l.total+amount
	err = l.file.Commit([]store.Op{
		{Key: key},
		{Key: []byte("total"), Value: fmt.Appendf(nil, "%d %d", payments, total)},
	})
	if err == nil {
		l.payments, l.total = payments, total
	}
	return err
}
