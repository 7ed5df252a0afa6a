// Package conformance has only tests: brokers against the statements of MQTT 3.1.1 and 5.0 that
// bind servers. testdata/results.json has what was seen, docs/conformance-servers.md shows it. The
// test carries all checks out again and fails when a broker does better or worse than the file
// says. After a change, and after a look at what has changed,
//
//	go test . -update
//
// writes both files anew.
package conformance
