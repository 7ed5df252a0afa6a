package main

import (
	"context"
	"io"
	"net/url"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/autopaho/queue"
	filequeue "github.com/eclipse/paho.golang/autopaho/queue/file"
	memoryqueue "github.com/eclipse/paho.golang/autopaho/queue/memory"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
	filestore "github.com/eclipse/paho.golang/paho/store/file"
	memorystore "github.com/eclipse/paho.golang/paho/store/memory"
)

// accepted is how many messages a library may have accepted that are not acknowledged,
// where it has no bound of its own. With more, a queue that reads its directory for each
// message only gets slower.
const accepted = 1024

// autopahoQueue is autopaho that publishes through its queue, with what is sent in a
// session: both in files, or both in memory.
type autopahoQueue struct {
	*autopaho.ConnectionManager
	job     *job
	places  *credit
	session *countingSession
}

func openAutopahoQueue(j *job) (client, error) {
	server, err := url.Parse(j.url())
	if err != nil {
		return nil, err
	}
	c := &autopahoQueue{job: j, places: newCredit(accepted)}
	var q queue.Queue = memoryqueue.New()
	c.session = &countingSession{sessionStore: memorystore.New(), places: c.places}
	var received sessionStore = memorystore.New()
	if j.dir != "" {
		if q, err = filequeue.New(j.dir, "queue", ".msg"); err != nil {
			return nil, err
		}
		if c.session.sessionStore, err = filestore.New(j.dir, "client", ".pkt"); err != nil {
			return nil, err
		}
		if received, err = filestore.New(j.dir, "server", ".pkt"); err != nil {
			return nil, err
		}
		c.session.fsyncs = 1
	}
	c.ConnectionManager, err = autopaho.NewConnection(context.Background(), autopaho.ClientConfig{
		ServerUrls:            []*url.URL{server},
		KeepAlive:             60,
		SessionExpiryInterval: 3600,
		Queue:                 q,
		ClientConfig:          paho.ClientConfig{ClientID: j.clientID, Session: state.New(c.session, received)},
	})
	if err != nil {
		return nil, err
	}
	return c, c.AwaitConnection(context.Background())
}

func (c *autopahoQueue) synced() *syncs { return &c.session.counts }

// publish is there for the interface: nothing tells when a message of the queue is
// acknowledged.
func (c *autopahoQueue) publish(qos byte) error { return c.publishAsync(qos) }

func (c *autopahoQueue) publishAsync(qos byte) error {
	c.places.take(1)
	return c.PublishViaQueue(context.Background(), &autopaho.QueuePublish{
		Publish: &paho.Publish{Topic: topic, QoS: qos, Payload: c.job.payload},
	})
}

func (c *autopahoQueue) flush() (uint64, error) {
	c.places.await(accepted)
	return 0, nil
}

// sessionStore is what a state.State keeps its packets in.
type sessionStore interface {
	Put(packetID uint16, packetType byte, w io.WriterTo) error
	Get(packetID uint16) (io.ReadCloser, error)
	Delete(id uint16) error
	Quarantine(id uint16) error
	List() ([]uint16, error)
	Reset() error
}

// countingSession gives a place back when the session forgets a message, because it is
// acknowledged.
type countingSession struct {
	sessionStore
	places *credit
	counts syncs
	fsyncs uint64 // of each Put
}

func (s *countingSession) Put(id uint16, packetType byte, w io.WriterTo) error {
	start := time.Now()
	err := s.sessionStore.Put(id, packetType, w)
	s.counts.done(start, s.fsyncs, s.fsyncs)
	return err
}

func (s *countingSession) Delete(id uint16) error {
	err := s.sessionStore.Delete(id)
	s.places.add(1)
	return err
}
