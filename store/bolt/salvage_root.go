package bolt

import (
	"cmp"
	"hash/fnv"
	"io"
	"os"
	"slices"
)

// A meta page has, behind its header: a magic number, a version, the size of a page and
// flags (4 bytes each); the page with the buckets, a counter, the list of free pages, the
// number of pages, the transaction, and a checksum (8 bytes each).
const (
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64
)

// meta is what a meta page says.
type meta struct {
	pageSize   int64
	root, txid uint64
	// ok says that the page is right, foreign that another version of bbolt has written
	// it. magic is there in either case, and sometimes without.
	ok, foreign, magic bool
}

func readMeta(file io.ReaderAt, at int64) meta {
	b := make([]byte, metaSize)
	if _, err := file.ReadAt(b, at+headerSize); err != nil {
		return meta{}
	}
	h := fnv.New64a()
	_, _ = h.Write(b[:metaSize-8])
	m := meta{pageSize: int64(order.Uint32(b[8:])), root: order.Uint64(b[16:]), txid: order.Uint64(b[48:])}
	m.magic = order.Uint32(b) == metaMagic
	right := m.magic && order.Uint64(b[metaSize-8:]) == h.Sum64()
	m.ok = right && order.Uint32(b[4:]) == metaVersion
	m.foreign = right && !m.ok
	return m
}

// readMetas returns both meta pages and the size of a page.
func readMetas(file io.ReaderAt) (metas []meta, pageSize int64) {
	pageSize = int64(os.Getpagesize())
	first := readMeta(file, 0)
	if first.ok {
		pageSize = first.pageSize
	} else {
		for size := int64(1 << 10); size <= 1<<16; size *= 2 {
			if m := readMeta(file, size); m.ok && m.pageSize == size {
				pageSize = size
			}
		}
	}
	return []meta{first, readMeta(file, pageSize)}, pageSize
}

// root is the page that has the bucket with all records.
type root struct {
	page uint64 // where the tree begins
	// inline is the page in the place of a tree, nil if there is no room for one.
	inline *node
	tally  tally
	known  bool // the tally is right
}

// readRoot reads the page id, which is as bbolt writes it for a file with one bucket, but
// for a byte or two.
func (p *pages) readRoot(id uint64) (r root, ok bool) {
	const nameAt = headerSize + elementSize
	n, _ := p.load(id)
	bucketAt := int64(nameAt + len(bucketName))
	if n == nil {
		return root{}, false
	}
	b, err := n.bytes(0, bucketAt+headerSize)
	if err != nil || !similar(b[nameAt:bucketAt], bucketName) {
		return root{}, false
	}
	r.page = order.Uint64(b[bucketAt:])
	r.tally, r.known = unpack(order.Uint64(b[bucketAt+8:]))
	inlineAt := bucketAt + headerSize
	if size := p.size - inlineAt; size > headerSize {
		r.inline = &node{at: io.NewSectionReader(n.at, inlineAt, size), size: size, inline: true}
	}
	return r, true
}

func similar(a, b []byte) bool {
	different := 0
	for i := range a {
		if a[i] != b[i] {
			different++
		}
	}
	return different <= 2
}

// findRoot returns the newest root that is left, and whether it is the one of the last
// Commit.
func (s *salvager) findRoot(metas []meta) (r root, last, ok bool) {
	slices.SortStableFunc(metas, func(a, b meta) int { return cmp.Compare(b.rank(), a.rank()) })
	first, ok := s.readRoot(metas[0].root)
	second, ok2 := s.readRoot(metas[1].root)
	switch {
	case ok2 && s.newerThan(metas[1], metas[0]):
		return second, true, true
	case ok:
		return first, metas[0].ok, true
	case ok2:
		return second, false, true
	}
	if metas[0].ok {
		return root{}, false, false // what is left is older than that
	}
	// The newest tree of which all is there is probably the last one.
	for id := range s.n {
		other, found := s.readRoot(id)
		if !found || !other.known || ok && !other.tally.after(r.tally) {
			continue
		}
		start := len(s.trail)
		for _, t := range s.plant(other) {
			if (other.tally.sum-t.sum)&sumMask == 0 {
				r, ok = other, true
			}
		}
		s.undo(start)
	}
	return r, false, ok
}

// newerThan reports whether a meta page that is damaged leads to a later Commit than the
// other one.
func (p *pages) newerThan(damaged, other meta) bool {
	r, ok := p.readRoot(damaged.root)
	current, ok2 := p.readRoot(other.root)
	return ok && ok2 && r.known && current.known && r.tally.commits == current.tally.next().commits
}

// rank puts the meta pages in order: a right one before others, then the newer one.
func (m meta) rank() uint64 {
	if !m.ok {
		return 0
	}
	return m.txid + 1
}

// plant returns the trees that a root may have: one of pages, or one page inline.
func (s *salvager) plant(r root) (trees []*tree) {
	if r.page != 0 {
		if t := s.grow(r.page, span{}); t != nil {
			trees = append(trees, t)
		}
	}
	if n := r.inline; n != nil && n.read(n.size) == nil && n.kind() == leafPage {
		trees = append(trees, s.leaf(n, span{}))
	}
	return append(trees, new(tree))
}
