package conformance

import (
	"fmt"

	"github.com/seed65a45251/mqtt/wire"
)

// Outcome is how a check ended.
type Outcome byte

// The outcomes, from the best to the worst.
const (
	Passes      Outcome = iota
	NotObserved         // no check can see it, or its occasion did not come
	Cannot              // the program's interface has no way to do what the check needs
	Departs             // otherwise than the text advises (SHOULD), or with a reason that is documented
	Fails
)

var outcomes = [...]string{"passes", "not observed", "cannot", "departs", "fails"}

// String returns the outcome as reports have it, for example "passes".
func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return fmt.Sprintf("Outcome(%d)", byte(o))
}

// MarshalText returns what String does.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (o *Outcome) UnmarshalText(text []byte) error {
	for i, name := range outcomes {
		if name == string(text) {
			*o = Outcome(i)
			return nil
		}
	}
	return fmt.Errorf("conformance: no outcome is called %q", text)
}

// Result is what a check found out about one program and one version.
type Result struct {
	Statement *Statement   `json:"-"`
	Name      string       `json:"name"` // of the statement
	Version   wire.Version `json:"version"`
	Outcome   Outcome      `json:"outcome"`
	// Detail says what was seen, or why there is nothing to see. With Passes it is a
	// remark about something that the text permits; often "".
	Detail string `json:"detail,omitempty"`
}

// String returns the result in one line, for logs and failures of tests.
func (r Result) String() string {
	s := fmt.Sprintf("%s %s: %s", r.Name, r.Version, r.Outcome)
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	return s
}
