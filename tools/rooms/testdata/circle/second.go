package circle

type state struct {
	count int
	third third
}

func advance(s state) int { return s.third.count }
