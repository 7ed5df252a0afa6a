package simulation

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// found are schedules that once failed, shrunk, and some that chance plays rarely.
var found = []struct {
	name  string
	setup Setup
	steps []Step
}{
	{"messages that fail at the beginning of a connection gave quota back that they had not taken",
		Setup{Version: wire.V5, FailLost: true, Servers: []ServerSetup{{ReceiveMax: 3, MaximumQoS: 2}}}, []Step{
			{ConnectTo, 5, 52, 37}, {Up, 4, 62, 74}, {Down, 1, 40, 80}, {Publish, 3, 68, 108}, {Cut, 2, 100, 3}, {Publish, 4, 8, 62},
			{Publish, 2, 55, 23}, {ConnectTo, 2, 71, 109}, {Publish, 4, 1, 50}, {Publish, 3, 26, 83},
		}},
	{"a clean start that had been given up deleted the session of a later one, which was believed",
		Setup{Version: wire.V5, Servers: []ServerSetup{{Late: true, MaximumQoS: 2}}}, []Step{
			{ConnectTo, 0, 6, 67}, {Cut, 4, 97, 12}, {Publish, 0, 17, 48}, {ConnectTo, 2, 65, 21}, {Settle, 2, 109, 99}, {Orphan, 0, 51, 41},
		}},
	{"a process forgot a clean start of its predecessor that was still on its way",
		Setup{Version: wire.V5, Store: true, Window: 1000, Servers: []ServerSetup{{Late: true, MaximumQoS: 2}}}, []Step{
			{ConnectTo, 0, 0, 0}, {Commit, 0, 0, 0}, {Cut, 0, 119, 2}, {ConnectTo, 0, 0, 0}, {Settle, 0, 2, 0}, {Publish, 0, 2, 0}, {Settle, 0, 0, 0},
			{Commit, 0, 0, 0}, {Orphan, 0, 0, 119}, {Crash, 0, 0, 0}, {ConnectTo, 0, 0, 0}, {Settle, 0, 2, 0},
		}},
	{"an identifier that was given up is used again after a restart",
		Setup{Version: wire.V5, FailLost: true, Store: true, Window: 1000, Servers: []ServerSetup{{MaximumQoS: 2}}}, []Step{
			{ConnectTo, 0, 0, 0}, {Settle, 0, 2, 0}, {Publish, 0, 2, 0}, {Commit, 0, 0, 0}, {Up, 0, 119, 0}, {LostConnack, 0, 0, 1},
			{ConnectTo, 0, 0, 0}, {Settle, 0, 0, 0}, {Commit, 0, 0, 0}, {Crash, 0, 0, 0}, {Publish, 0, 2, 0}, {ConnectTo, 0, 0, 0}, {Settle, 0, 3, 0},
		}},
	{"a message under an identifier that was finished before a restart is taken for a repeat",
		Setup{Version: wire.V5, Store: true, Window: 1000, Servers: []ServerSetup{{MaximumQoS: 2}}}, []Step{
			{Subscribe, 0, 0, 2}, {ConnectTo, 0, 0, 0}, {Settle, 0, 2, 0}, {ServerPublish, 0, 2, 0}, {Settle, 0, 0, 0}, {Acknowledge, 0, 0, 0},
			{Settle, 0, 1, 0}, {ServerPublish, 0, 2, 0}, {Settle, 0, 0, 0}, {Acknowledge, 0, 0, 0}, {Settle, 0, 1, 0}, {Commit, 0, 0, 0},
			{Crash, 0, 0, 0}, {Subscribe, 0, 0, 2}, {ConnectTo, 0, 0, 0}, {Settle, 0, 2, 0}, {ServerPublish, 0, 2, 0}, {Cut, 0, 0, 1},
		}},
	{"an identifier that an earlier process has left on a server is used after a restart",
		Setup{Version: wire.V5, Store: true, Window: 1000, Servers: []ServerSetup{{MaximumQoS: 2}, {MaximumQoS: 2}}}, []Step{
			{ConnectTo, 0, 0, 0}, {Settle, 0, 2, 0}, {Publish, 0, 2, 0}, {Commit, 0, 0, 0}, {Up, 0, 119, 0}, {Cut, 0, 0, 1},
			{ConnectTo, 0, 1, 0}, {Settle, 0, 3, 0}, {Settle, 0, 3, 0}, {Cut, 0, 0, 1}, {ConnectTo, 0, 0, 0}, {Settle, 0, 3, 0},
			{Commit, 0, 0, 0}, {Crash, 0, 0, 0}, {ConnectTo, 0, 0, 0}, {Settle, 0, 3, 0}, {Publish, 0, 2, 0}, {Settle, 0, 3, 0},
		}},
	{"a message that is not stored waited forever behind one that was taken back",
		Setup{Version: wire.V31, Resume: true, Store: true, Window: 3, Servers: []ServerSetup{{MaximumQoS: 2}}}, []Step{
			{Publish, 3, 114, 105}, {Publish, 2, 17, 76}, {Crash, 0, 55, 12}, {Publish, 3, 61, 93}, {Publish, 4, 7, 111},
			{Publish, 0, 5, 96}, {Publish, 0, 113, 44}, {Publish, 3, 73, 42}, {Commit, 0, 62, 29}, {Withdraw, 1, 41, 88},
		}},
	{"a message that was acknowledged after a move to another server was recorded for that one",
		Setup{Version: wire.V31, Resume: true, Store: true, Window: 1000, Servers: []ServerSetup{{MaximumQoS: 2}, {MaximumQoS: 2}, {MaximumQoS: 2}}}, []Step{
			{Subscribe, 3, 27, 83}, {Publish, 2, 68, 20}, {ConnectTo, 2, 59, 57}, {Settle, 1, 50, 7}, {Flaky, 0, 55, 100},
			{Acknowledge, 5, 76, 0}, {Commit, 1, 27, 14}, {Fault, 4, 103, 85}, {Publish, 1, 98, 52}, {Commit, 2, 29, 71},
		}},
	{"the identifier of a damaged record was used again while the server held it",
		Setup{Version: wire.V5, Resume: true, Store: true, Window: 1000, Servers: []ServerSetup{{Lazy: true, MaximumQoS: 2}}}, []Step{
			{Publish, 2, 59, 84}, {ConnectTo, 4, 25, 24}, {Publish, 4, 101, 12}, {Settle, 2, 55, 86}, {Cut, 1, 118, 93}, {Publish, 0, 76, 68},
			{Commit, 5, 118, 18}, {Crash, 4, 14, 63}, {Publish, 5, 115, 61}, {Subscribe, 4, 63, 104}, {Flaky, 0, 89, 112},
			{Publish, 2, 14, 18}, {Publish, 2, 83, 65}, {Subscribe, 0, 81, 59},
		}},
	{"a damaged record was taken for one of a later release",
		Setup{Version: wire.V5, Store: true, Window: 1000, Servers: []ServerSetup{{MaximumQoS: 2}}}, []Step{
			{ConnectTo, 3, 101, 72}, {Settle, 0, 81, 78}, {Publish, 4, 53, 20}, {Publish, 0, 64, 118}, {CommitBegin, 3, 109, 90}, {Crash, 0, 60, 31},
		}},
	{"a process that was killed before its first connection left a Store that forbade to take over a session",
		Setup{Version: wire.V5, Resume: true, Store: true, Window: 1000, Servers: []ServerSetup{{MaximumQoS: 2}}}, []Step{{Crash, 5, 115, 36}}},
}

func TestFoundFaults(t *testing.T) {
	for _, f := range found {
		t.Run(f.name, func(t *testing.T) {
			f.setup.Clients = 1
			s := Schedule{Seed: 1, Setup: f.setup, Steps: f.steps}
			log, err := Trace(&s)
			require.NoError(t, err, log)
		})
	}
}
