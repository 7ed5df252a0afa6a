// Package fuzztest fuzzes the whole client and the whole broker. The bytes of the fuzzer
// are the choices of a script: what a peer sends, what the program does, when time passes.
// Everything runs with its goroutines, in fake time, and a judge sees every packet.
//
// What turns bytes into choices and packets is here; the rest are tests.
package fuzztest
