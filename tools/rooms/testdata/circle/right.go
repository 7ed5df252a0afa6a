package circle

type right struct{ other *left }

func (r right) back() *right { return r.other.other }
