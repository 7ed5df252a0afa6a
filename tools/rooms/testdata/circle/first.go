// Package circle is measured by the test of command rooms. Three files reach each
// other: first knows second by a function, second knows third by a field, third
// knows first by a constant.
package circle

const start = 1

func begin() int { return advance(state{count: leaf}) }
