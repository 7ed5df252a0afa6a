package broker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// ACL is an [Authorizer] with rules about topics, in the form of Mosquitto's ACL
// files:
//
//	# for clients without user name
//	topic read news/#
//
//	user alice
//	topic readwrite home/+/light
//	topic deny home/cellar/#
//
//	# for all clients: %c is the client identifier, %u the user name
//	pattern write devices/%c/up/#
//
// The words are read (subscribe), write (publish), readwrite and deny. A rule without
// a word is readwrite. An access that no rule allows is denied. A deny that matches
// wins over every rule that allows. An ACL always decides: it never passes.
//
// A subscription is allowed when one rule covers every topic that the filter matches
// and no deny touches any of them. Otherwise it is refused, and the client is told
// so. Mosquitto would accept such a subscription and hold back messages.
//
// %c and %u stand for plain text: they never become a wildcard, and never more than
// one level. A client called "+" or "a/b" gets nothing from such a rule, and neither
// does a client whose name is empty.
//
// Its methods are safe for concurrent use.
type ACL struct {
	path    string
	rules   atomic.Pointer[aclRules]
	reloads atomic.Uint64
}

// aclRules are never changed after they are read.
type aclRules struct {
	number   uint64               // counts the calls of Reload
	users    map[string][]aclRule // by user name; "" for clients without a user name
	patterns []aclRule
}

type aclRule struct {
	read, write, deny bool
	levels            []string
}

// LoadACL reads rules from a file.
func LoadACL(path string) (*ACL, error) {
	a := &ACL{path: path}
	if err := a.Reload(); err != nil {
		return nil, err
	}
	return a, nil
}

// ParseACL reads rules from r.
func ParseACL(r io.Reader) (*ACL, error) {
	rules, err := parseACL(r)
	if err != nil {
		return nil, fmt.Errorf("mqtt: ACL: %w", err)
	}
	a := new(ACL)
	a.rules.Store(rules)
	return a, nil
}

// Reload reads the file of [LoadACL] again. If that fails, the old rules stay. When it
// returns without an error, nothing is sent any more that the new rules do not allow,
// whether it is queued, retained or published later. If a client's filter is no longer
// allowed as a whole, each message to that client is checked. The subscription itself
// stays, and brings everything again when the rules allow it. Messages that were sent
// before are not affected.
func (a *ACL) Reload() error {
	file, err := os.Open(a.path)
	if err != nil {
		return fmt.Errorf("mqtt: ACL: %w", err)
	}
	defer file.Close()
	rules, err := parseACL(file)
	if err != nil {
		return fmt.Errorf("mqtt: ACL %s: %w", a.path, err)
	}
	rules.number = a.reloads.Add(1)
	a.rules.Store(rules)
	return nil
}

func parseACL(r io.Reader) (*aclRules, error) {
	rules := &aclRules{users: make(map[string][]aclRule)}
	user := ""
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		rule, err := parseRule(rest)
		switch {
		case rest == "":
			return nil, fmt.Errorf("line %d: %q needs more", n, word)
		case word == "user":
			user = rest
			continue
		case word != "topic" && word != "pattern":
			return nil, fmt.Errorf("line %d: %q is none of user, topic and pattern", n, word)
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case word == "topic":
			rules.users[user] = append(rules.users[user], rule)
		default:
			rules.patterns = append(rules.patterns, rule)
		}
	}
	return rules, lines.Err()
}

// parseRule parses an optional word and a topic, which may contain spaces.
func parseRule(text string) (aclRule, error) {
	rule := aclRule{read: true, write: true}
	word, topic, more := strings.Cut(text, " ")
	if !more {
		word = "" // the topic itself may be called "read"
	}
	switch word {
	case "read":
		rule.write = false
	case "write":
		rule.read = false
	case "readwrite":
	case "deny":
		rule.deny = true
	default:
		topic = text
	}
	topic = strings.TrimSpace(topic)
	if err := match.ValidatePlainFilter(topic); err != nil {
		return rule, err
	}
	rule.levels = strings.Split(topic, "/")
	return rule, nil
}

// Authorize applies the rules.
func (a *ACL) Authorize(_ context.Context, access *Access) Decision {
	rules := a.rules.Load()
	wanted := strings.Split(access.Topic, "/")
	granted := false
	for _, rule := range rules.users[access.Peer.Username] {
		ok, stop := rule.decide(access, wanted, nil)
		if stop {
			return Deny(wire.NotAuthorized, "")
		}
		granted = granted || ok
	}
	for _, rule := range rules.patterns {
		ok, stop := rule.decide(access, wanted, access.Peer)
		if stop {
			return Deny(wire.NotAuthorized, "")
		}
		granted = granted || ok
	}
	if !granted {
		return Deny(wire.NotAuthorized, "")
	}
	return Allow()
}

// decide returns whether the rule allows the access and whether it forbids it. peer
// gives the values of %c and %u; if nil, they match nothing.
func (r *aclRule) decide(a *Access, wanted []string, peer *Peer) (allows, forbids bool) {
	if r.deny {
		return false, r.overlaps(wanted, a.Action == SubscribeAction, peer)
	}
	if a.Action == PublishAction && !r.write || a.Action == SubscribeAction && !r.read {
		return false, false
	}
	return r.covers(wanted, a.Action == SubscribeAction, peer), false
}
