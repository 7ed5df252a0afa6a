package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt"
)

// assignment is which jobs one worker takes, and in whose name.
type assignment struct {
	clientID string // "": one of its own; others take over when it goes
	filter   string
}

// assignments returns those of this process.
func (j *jobs) assignments() []assignment {
	if j.group != "" {
		return []assignment{{filter: "$share/" + j.group + "/" + jobTopic.Filter()}}
	}
	var all []assignment
	for p := range j.partitions {
		if j.partition < 0 || j.partition == p {
			// The session belongs to the partition and not to the process.
			all = append(all, assignment{"worker-" + strconv.Itoa(p), "jobs/" + strconv.Itoa(p) + "/+/+"})
		}
	}
	return all
}

// config is that of a client with a session of its own, or, if clientID is "", without.
func (j *jobs) config(clientID string) mqtt.Config {
	c := mqtt.Config{
		ClientID: clientID, Servers: j.servers[1:], SharedSessions: j.sharedSessions, RetryFirst: true,
		KeepAlive: 10 * time.Second, // a server that is gone without a word is noticed within 15
	}
	if clientID != "" {
		c.Resume, c.SessionExpiry = true, time.Hour
	} else {
		c.SessionExpiry = -time.Second // what it has not done goes to the others at once
	}
	return c
}

// work does jobs until all are done or ctx ends. It closes subscribed when the server knows.
func (j *jobs) work(ctx context.Context, a assignment, subscribed chan struct{}, finish func(error)) error {
	client, err := mqtt.Connect(ctx, j.servers[0], j.config(a.clientID))
	if err != nil {
		return err
	}
	defer client.Close()
	known := sync.OnceFunc(func() {
		j.print("takes " + a.filter)
		close(subscribed)
	})
	o := mqtt.SubscribeOptions{
		Filters:     []mqtt.Filter{{Filter: a.filter, QoS: mqtt.AtLeastOnce}},
		Concurrency: 8,
		OrderBy:     customer,
		Subscribed:  func(*mqtt.Subscription) { known() },
	}
	err = client.Handle(ctx, o, func(ctx context.Context, job *mqtt.Message) error {
		done, err := j.do(ctx, client, job)
		if err == nil && j.note(done) {
			finish(errAllDone) // Handle ends, and this job is acknowledged all the same
		}
		return err
	})
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, client.Disconnect(ending))
}

// customer is by what jobs are kept in order.
func customer(job *mqtt.Message) string {
	topic, _ := jobTopic.Match(job.Topic)
	return topic.Get("customer")
}

// do does a job and publishes that.
func (j *jobs) do(ctx context.Context, client *mqtt.Client, job *mqtt.Message) (done string, err error) {
	j.mu.Lock()
	j.busy++
	j.most = max(j.most, j.busy)
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		j.busy--
		j.mu.Unlock()
	}()
	topic, _ := jobTopic.Match(job.Topic)
	if topic.Get("customer") == "slow" {
		time.Sleep(20 * time.Millisecond) // hard work, which holds up only its own customer
	}
	if done, err = doneTopic.Topic(topic.List()...); err != nil {
		return "", err
	}
	return done, client.Publish(ctx, done, nil, mqtt.AtLeastOnce)
}

// note says that a job is done, and returns whether it was the last.
func (j *jobs) note(done string) (last bool) {
	j.print(done)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.done[done] || j.count == 0 {
		return false
	}
	j.done[done] = true
	return len(j.done) == j.count
}

func (j *jobs) print(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintln(j.out, line)
}
