// Command ingester writes messages into a database. They are acknowledged when the
// database has committed them, so none gets lost, whatever is killed: the server sends
// again what was not acknowledged. A transaction has many rows, because each commit waits
// for the disk.
//
//	go -C examples/ingester run . -server mqtt://localhost:1883 -db readings.db -n 0
//
// It takes ingest/{device}/{quantity}, with a time and a value as payload. Without -server
// it brings its own broker, and with -n it publishes that many readings itself and ends
// when they are in the database.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/examples/internal/demo"
	"github.com/seed65a45251/mqtt/match"
)

var topics = match.MustParsePattern("ingest/{device}/{quantity}")

func main() {
	server := flag.String("server", "", "URL of an MQTT server; empty: an embedded broker")
	path := flag.String("db", "", "file of the database; empty: a temporary one")
	count := flag.Int("n", 300, "how many readings to publish and to take; 0: none, and no end")
	flag.Parse()
	demo.Main(func(ctx context.Context) error { return run(ctx, os.Stdout, *server, *path, *count) })
}

var errAllTaken = errors.New("all readings are taken")

func run(ctx context.Context, out io.Writer, server, path string, count int) error {
	server, stop, err := demo.Server(server)
	if err != nil {
		return err
	}
	defer stop()
	if path == "" {
		dir, err := os.MkdirTemp("", "ingester")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		path = filepath.Join(dir, "readings.db")
	}
	db, err := open(ctx, path)
	if err != nil {
		return err
	}
	defer db.Close()

	// The server keeps what comes while no ingester is there.
	client, err := mqtt.Connect(ctx, server, mqtt.Config{ClientID: "ingester", Resume: true, SessionExpiry: 24 * time.Hour})
	if err != nil {
		return err
	}
	defer client.Close()
	sub, err := client.Subscribe(ctx, topics.Filter(), mqtt.AtLeastOnce)
	if err != nil {
		return err
	}
	if err := publish(ctx, client, count); err != nil {
		return err
	}
	working, finish := context.WithCancelCause(ctx)
	defer finish(nil)
	taken := 0
	// Without a Wait, a batch is what has come while the last one was written.
	err = sub.HandleBatches(working, mqtt.BatchOptions{Messages: 500}, func(ctx context.Context, batch []*mqtt.Message) error {
		if err := insert(ctx, db, batch); err != nil {
			return err // nothing is acknowledged, and all comes again
		}
		fmt.Fprintln(out, "committed", len(batch))
		if taken += len(batch); count > 0 && taken >= count {
			finish(errAllTaken)
		}
		return nil
	})
	if !errors.Is(err, errAllTaken) {
		return err
	}
	rows := 0
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM reading").Scan(&rows); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d messages taken, %d rows in the database\n", taken, rows)
	return client.Disconnect(ctx)
}

// publish publishes readings of ten devices, and one that is none.
func publish(ctx context.Context, client *mqtt.Client, count int) error {
	began := time.Now().UnixNano()
	for i := range count {
		topic, err := topics.Topic(fmt.Sprint("device-", i%10), "temperature")
		if err != nil {
			return err
		}
		payload := fmt.Appendf(nil, "%d %.1f", began+int64(i), 20+float64(i%100)/10)
		if i == count-1 {
			payload = []byte("warm")
		}
		if _, err := client.PublishAsync(ctx, &mqtt.Message{Topic: topic, Payload: payload, QoS: mqtt.AtLeastOnce}); err != nil {
			return err
		}
	}
	return nil
}

// open opens the database. A reading that comes again has the same key.
func open(ctx context.Context, path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(60000)")
	if err != nil {
		return nil, err
	}
	_, err = db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS reading
		(device TEXT, quantity TEXT, time INTEGER, value REAL, PRIMARY KEY (device, quantity, time))`)
	return db, err
}

// insert writes a batch in one transaction.
func insert(ctx context.Context, db *sql.DB, batch []*mqtt.Message) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	for _, msg := range batch {
		var when int64
		var value float64
		if _, err := fmt.Sscan(string(msg.Payload), &when, &value); err != nil {
			if err := msg.Refuse(mqtt.PayloadFormatInvalid, "want a time and a value"); err != nil {
				return err
			}
			continue
		}
		topic, _ := topics.Match(msg.Topic)
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO reading VALUES (?, ?, ?, ?)",
			topic.Get("device"), topic.Get("quantity"), when, value); err != nil {
			return err
		}
	}
	return tx.Commit()
}
