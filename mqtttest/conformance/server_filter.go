package conformance

func serverFilterChecks() (checks []serverCheck) {
	return []serverCheck{
		of("# in the wrong place", "4.7.1-2", "4.7.1-1", "a filter where # is not a level of its own, or not the last, is refused", func(t *trial) {
			t.refusedFilters("a#", "#a", "a/#/b", "##")
		}),
		of("+ in the wrong place", "4.7.1-3", "4.7.1-2", "a filter where + is not a level of its own is refused", func(t *trial) {
			t.refusedFilters("a+", "+a", "a/+b/c", "++")
		}),
		of("empty filter", "4.7.3-1", "4.7.3-1", "an empty filter is refused", func(t *trial) { t.refusedFilters("") }),
		of("shared filter", "", "4.8.2-1 4.8.2-2", "a shared filter without a name, with wildcards in it, or without a filter is refused", func(t *trial) {
			t.needsShared()
			t.refusedFilters("$share", "$share/", "$share/g", "$share/g/", "$share//a", "$share/g+/a", "$share/g#/a", "$share/g/a#")
		}),
	}
}

func (t *trial) refusedFilters(filters ...string) {
	for _, f := range filters {
		t.refusedFilter(f)
	}
}
