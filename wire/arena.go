package wire

const (
	firstChunk   = 8
	largestChunk = 256
	// quietRecycles is how many recyclings without a packet it takes to free a large chunk. It is more
	// than one, because at QoS 2 reads with messages and reads with PUBRELs alternate.
	quietRecycles = 4
)

// propertyArena hands out the properties of decoded PUBLISH packets from chunks. Without recycling a
// chunk lives as long as one of its entries is in use. With recycling one chunk is used again and
// again; it grows to the size that is needed between two recyclings.
type propertyArena struct {
	chunk []propertyEntry
	used  int // entries of chunk that are used
	taken int // entries taken since the last recycling
	quiet int // recyclings in a row for which nothing was taken
}

// propertyEntry has space for what the properties point to in the usual cases.
type propertyEntry struct {
	PublishProperties
	expiry uint32
	ids    [fewIDs]uint32
	mixed  bool // more than SubscriptionIDs was set
}

func (a *propertyArena) take() *propertyEntry {
	if a.used == len(a.chunk) {
		a.chunk, a.used = make([]propertyEntry, max(firstChunk, len(a.chunk))), 0
	}
	entry := &a.chunk[a.used]
	a.used++
	a.taken++
	return entry
}

func (a *propertyArena) recycle() {
	for i := range a.chunk[:a.used] {
		if entry := &a.chunk[i]; entry.mixed {
			entry.PublishProperties, entry.mixed = PublishProperties{}, false // they may hold megabytes
		}
	}
	a.quiet++
	if a.taken > 0 {
		a.quiet = 0
	}
	switch want := min(a.taken, largestChunk); {
	case want > len(a.chunk):
		a.chunk = make([]propertyEntry, want)
	case a.quiet >= quietRecycles && len(a.chunk) > firstChunk:
		a.chunk = nil
	}
	a.used, a.taken = 0, 0
}
