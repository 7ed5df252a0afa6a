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
// The words are read (subscribe), write (publish), readwrite, which is meant when
// none is given, and deny. What no rule allows is denied, and a deny goes before
// all that allows. An ACL always decides.
//
// A subscription is allowed when one rule covers every topic that it matches and
// no deny touches any of them. It is thus refused, and the client told so, where
// Mosquitto would accept it and hold back messages.
//
// %c and %u stand for text, never for wildcards or more than a part of one level: a
// client called "+" or "a/b" gets nothing from them. Neither does an empty name.
//
// Its methods are safe for concurrent use.
type ACL struct {
	path    string
	rules   atomic.Pointer[aclRules]
	reloads atomic.Uint64
}

// aclRules are never changed.
type aclRules struct {
	number   uint64               // of the Reload
	users    map[string][]aclRule // by user name; "": clients without
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

// Reload reads the file of [LoadACL] again. When that fails the old rules stay. When it
// returns without an error nothing is sent any more that the new rules do not allow, be
// it queued, retained or published later: each message to a client whose filter is not
// allowed as a whole any more is looked at. The subscription itself stays, and brings
// everything again when the rules allow it. What was sent before, the client has.
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

// parseRule takes an optional word and a topic, which may have spaces in it.
func parseRule(text string) (aclRule, error) {
	rule := aclRule{read: true, write: true}
	word, topic, more := strings.Cut(text, " ")
	if !more {
		word = "" // a topic that may be called read
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

// decide says whether the rule allows the access, and whether it forbids it. peer
// stands for %c and %u; nil: they mean nothing.
func (r *aclRule) decide(a *Access, wanted []string, peer *Peer) (allows, forbids bool) {
	if r.deny {
		return false, r.overlaps(wanted, a.Action == SubscribeAction, peer)
	}
	if a.Action == PublishAction && !r.write || a.Action == SubscribeAction && !r.read {
		return false, false
	}
	return r.covers(wanted, a.Action == SubscribeAction, peer), false
}
