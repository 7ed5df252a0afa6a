package mqtt

// add adds what another client has counted. A test sees to it that no field is forgotten.
func (s *Stats) add(o Stats) {
	s.ConnectionStats.add(o.ConnectionStats)
	s.TrafficStats.add(o.TrafficStats)
	s.PublishStats.add(o.PublishStats)
	s.ReceiveStats.add(o.ReceiveStats)
	s.StrayResponses += o.StrayResponses
	s.Unanswered += o.Unanswered
	s.RepeatedRequests += o.RepeatedRequests
}

func (s *ConnectionStats) add(o ConnectionStats) {
	s.Up += o.Up
	s.Connections += o.Connections
	s.Lost += o.Lost
	s.SessionsLost += o.SessionsLost
	s.FailedAttempts.add(o.FailedAttempts)
	s.Ended.add(o.Ended)
	s.Ping.Add(o.Ping)
}

func (f *FailedAttempts) add(o FailedAttempts) {
	f.Refused = sumOf(f.Refused, o.Refused)
	f.Protocol += o.Protocol
	f.HTTP += o.HTTP
	f.TLS += o.TLS
	f.Canceled += o.Canceled
	f.Local += o.Local
	f.Timeout += o.Timeout
	f.Network += o.Network
}

func (e *EndedConnections) add(o EndedConnections) {
	e.Closed += o.Closed
	e.Renewed += o.Renewed
	e.Server = sumOf(e.Server, o.Server)
	e.HungUp += o.HungUp
	e.KeepAlive += o.KeepAlive
	e.Protocol += o.Protocol
	e.Local += o.Local
	e.Network += o.Network
}

func (t *TrafficStats) add(o TrafficStats) {
	t.BytesSent += o.BytesSent
	t.BytesReceived += o.BytesReceived
	t.PacketsSent += o.PacketsSent
	t.PacketsReceived += o.PacketsReceived
	t.Writes += o.Writes
}

func (p *PublishStats) add(o PublishStats) {
	p.Published += o.Published
	p.Acknowledged += o.Acknowledged
	p.Repeated += o.Repeated
	p.RetriedRefused += o.RetriedRefused
	p.QueueDropped += o.QueueDropped
	p.Failed.add(o.Failed)
	p.Queued += o.Queued
	p.QueuedBytes += o.QueuedBytes
	p.Inflight += o.Inflight
	p.RoundTrips.Add(o.RoundTrips)
}

func (f *FailedMessages) add(o FailedMessages) {
	f.QueueFull += o.QueueFull
	f.Superseded += o.Superseded
	f.Expired += o.Expired
	f.Refused += o.Refused
	f.Limit += o.Limit
	f.Undeliverable += o.Undeliverable
	f.SessionLost += o.SessionLost
	f.Store += o.Store
	f.Canceled += o.Canceled
	f.Lost += o.Lost
	f.Closed += o.Closed
}

func (r *ReceiveStats) add(o ReceiveStats) {
	r.Received += o.Received
	r.Duplicates += o.Duplicates
	r.Dropped += o.Dropped
	r.DroppedBy.add(o.DroppedBy)
	r.Unclaimed += o.Unclaimed
	r.Refused += o.Refused
	r.Rejected += o.Rejected
	r.Retried += o.Retried
	r.DeadLettered += o.DeadLettered
	r.Unfinished += o.Unfinished
	r.Held.add(o.Held)
	r.HeldUnclaimed.add(o.HeldUnclaimed)
}

func (d *DroppedMessages) add(o DroppedMessages) {
	d.Newest += o.Newest
	d.Oldest += o.Oldest
	d.Ended += o.Ended
	d.NoSession += o.NoSession
}
