// Package fatetest checks docs/guarantees.md. What is to be expected stands there and
// nowhere else: the tests read the tables, put a message or a call into the state that
// a row names, let happen what the column names, and compare what they observe with the
// cell. A cell without a test fails, and so does a test without a cell.
//
// Every cell is provoked through the public API, on connections in memory in a bubble
// of fake time and on real sockets, on 5.0 and on 3.1.1. The broker is that of package
// mqtttest.
package fatetest
