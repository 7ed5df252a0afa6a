package circle

// left and right know each other: a smaller circle.
type left struct{ other *right }
