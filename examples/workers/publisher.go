package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
)

var customers = []string{"slow", "a", "b", "c"}

// partitionOf is where the jobs of a customer go. All publishers have to agree on it.
func (j *jobs) partitionOf(customer string) string {
	h := fnv.New32a()
	h.Write([]byte(customer))
	return strconv.Itoa(int(h.Sum32() % uint32(j.partitions)))
}

// publish publishes the jobs of all customers, those of each one after the other: the next
// when the server has the last. A server that fails in between can then not change their
// order.
func (j *jobs) publish(ctx context.Context) error {
	if j.count == 0 {
		return nil
	}
	client, err := mqtt.Connect(ctx, j.servers[0], j.config(""))
	if err != nil {
		return err
	}
	defer client.Close()
	g, publishing := errgroup.WithContext(ctx)
	for i, customer := range customers {
		g.Go(func() error {
			for n := i; n < j.count; n += len(customers) {
				topic, err := jobTopic.Topic(j.partitionOf(customer), customer, fmt.Sprint(n/len(customers)))
				if err != nil {
					return err
				}
				if err := client.Publish(publishing, topic, nil, mqtt.AtLeastOnce); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return client.Disconnect(ctx)
}
