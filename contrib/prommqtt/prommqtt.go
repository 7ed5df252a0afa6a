// Package prommqtt shows Prometheus the figures of MQTT clients and brokers.
//
//	collector := prommqtt.NewCollector()
//	prometheus.MustRegister(collector)
//
//	client, err := mqtt.Connect(ctx, server, cfg)
//	err = collector.AddClient("orders", client)
//
// Each client has a name, which is the label client of its series, and each broker one,
// which is the label broker. A client that has ended has no series any more.
//
// The series of clients begin with mqtt_client_, those of brokers with mqtt_broker_. They
// say what [mqtt.Client.Stats], [mqtt.Client.ServerInfo] and the Stats of a broker say, at
// the time of the scrape; between scrapes a Collector costs nothing. [Messages] counts and
// times messages by template of their topic and by filter. No topic becomes a label.
// dashboard.json beside this package is an example for Grafana.
package prommqtt

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
)

// ErrNameTaken says that another client, or another broker, has the name.
var ErrNameTaken = errors.New("prommqtt: name is taken")

// validate refuses a name that cannot be a label.
func validate(name string) error {
	if !utf8.ValidString(name) {
		return fmt.Errorf("prommqtt: name %q is not UTF-8", name)
	}
	return nil
}

// Broker is what a Collector needs of a *broker.Broker. A broker that begins anew under
// the same name may be behind one Broker.
type Broker interface{ Stats() broker.Stats }

// Collector is a [prometheus.Collector] for any number of clients and brokers, which come
// and go at any time. Make it with NewCollector. Its methods are safe for concurrent use.
// To add labels of your own, register it with [prometheus.WrapRegistererWith].
type Collector struct {
	mu      sync.Mutex // guards both maps; held while no figure is read
	clients map[string]*mqtt.Client
	brokers map[string]Broker
}

// NewCollector returns a Collector without clients and brokers.
func NewCollector() *Collector {
	return &Collector{clients: make(map[string]*mqtt.Client), brokers: make(map[string]Broker)}
}

// AddClient shows client under that name until it has ended or RemoveClient is called. The
// error is ErrNameTaken if a client that has not ended has the name. A name has to be UTF-8.
func (c *Collector) AddClient(name string, client *mqtt.Client) error {
	if err := validate(name); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.clients[name]; other != nil && !ended(other) {
		return fmt.Errorf("%w by another client: %q", ErrNameTaken, name)
	}
	c.clients[name] = client
	return nil
}

// RemoveClient ends the series of a client. It does nothing if none has the name.
func (c *Collector) RemoveClient(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.clients, name)
}

// AddBroker shows b under that name until RemoveBroker is called. The error is ErrNameTaken
// if another broker has the name. A name has to be UTF-8.
func (c *Collector) AddBroker(name string, b Broker) error {
	if err := validate(name); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.brokers[name] != nil {
		return fmt.Errorf("%w by another broker: %q", ErrNameTaken, name)
	}
	c.brokers[name] = b
	return nil
}

// RemoveBroker ends the series of a broker. It does nothing if none has the name.
func (c *Collector) RemoveBroker(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.brokers, name)
}

// Describe sends all families that Collect may send.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range clientFamilies {
		ch <- f.desc
	}
	for _, f := range brokerFamilies {
		ch <- f.desc
	}
}

// Collect sends the present figures, and forgets clients that have ended.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	clients, brokers := c.present()
	for name, client := range clients {
		figures := clientFigures{Stats: client.Stats(), info: client.ServerInfo()}
		if ended(client) {
			continue // it did while it was asked
		}
		for _, f := range clientFamilies {
			f.collect(&figures, name, ch)
		}
	}
	for name, b := range brokers {
		figures := b.Stats()
		for _, f := range brokerFamilies {
			f.collect(&figures, name, ch)
		}
	}
}

// present returns those that have not ended.
func (c *Collector) present() (clients map[string]*mqtt.Client, brokers map[string]Broker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.clients, func(_ string, client *mqtt.Client) bool { return ended(client) })
	return maps.Clone(c.clients), maps.Clone(c.brokers)
}

func ended(client *mqtt.Client) bool {
	select {
	case <-client.Done():
		return true
	default:
		return false
	}
}
