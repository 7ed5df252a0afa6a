// Package conformance has only tests: the conformance suite of mqtttest/conformance
// with this project's client and those of others. What they find is in
// testdata/results, and docs/conformance.md is made of it.
package conformance
