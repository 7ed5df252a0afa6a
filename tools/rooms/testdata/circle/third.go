package circle

type third struct{ count int }

func (t third) next() int {
	leaf := t.count // its own, not the one of leaf.go
	return leaf + start
}
