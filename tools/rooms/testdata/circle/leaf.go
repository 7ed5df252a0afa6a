package circle

// leaf is known by first and knows nobody.
const leaf = 3
