package broker

import "sync/atomic"

// ruleSet is what the answers of the authorizers depend on.
type ruleSet struct {
	acls    []*ACL
	changed atomic.Uint64 // counts Reauthorize
}

// rules returns a number that changes when what the authorizers allow has changed.
func (a *ruleSet) rules() uint64 {
	n := a.changed.Load()
	for _, acl := range a.acls {
		n += acl.rules.Load().number
	}
	return n
}

func (a *ruleSet) watch(of []Authorizer) {
	for _, hook := range of {
		if acl, ok := hook.(*ACL); ok {
			a.acls = append(a.acls, acl)
		}
	}
}
