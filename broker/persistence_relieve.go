package broker

import "github.com/seed65a45251/mqtt/store"

// relieve divides tasks that could not be committed: over are those that are told so,
// again those that are tried until they succeed. Of these it commits the removals by
// themselves. A full Store may take nothing else, and without them it stays full, as
// long as there are publishers who try to add to it.
func (p *persistence) relieve(tasks []*task) (over, again []*task) {
	removed := make(map[string]bool) // by key: it ends with being removed
	ahead := make(map[string]bool)   // by key: a whole task has to go before
	sets := false
	for _, t := range tasks {
		for _, op := range t.ops {
			sets = sets || !op.Delete
			if key := string(op.Key); t.whole {
				ahead[key], removed[key] = true, false
			} else if t.keep && !ahead[key] {
				removed[key] = op.Delete
			}
		}
	}
	var removals []store.Op
	for key, is := range removed {
		if is {
			removals = append(removals, deletion([]byte(key)))
		}
	}
	// What consists of removals only has just failed.
	relieved := sets && len(removals) > 0 && p.store.Commit(removals) == nil
	for _, t := range tasks {
		done := !t.keep
		if relieved && t.keep && len(t.ops) > 0 {
			t.ops = without(t.ops, removed)
			done = len(t.ops) == 0
		}
		if !done {
			again = append(again, t)
		} else {
			over = append(over, t)
		}
	}
	return over, again
}

// without returns the operations on keys that are not removed. What has been set
// before the removal of a key has no meaning any more.
func without(ops []store.Op, removed map[string]bool) []store.Op {
	var left []store.Op
	for _, op := range ops {
		if !removed[string(op.Key)] {
			left = append(left, op)
		}
	}
	return left
}
