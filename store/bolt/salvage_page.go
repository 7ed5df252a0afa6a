package bolt

import (
	"bytes"
	"io"

	"github.com/seed65a45251/mqtt/store"
)

// These read pages that may be damaged. Nothing in them is taken for granted: what a
// page does not tell consistently is told by its records, which have checksums.

// pages is a file of bbolt, page by page.
type pages struct {
	file io.ReaderAt
	size int64 // of a page
	n    uint64
}

// load returns the page id with all that follows in the file, since the number of its
// continuation pages may be wrong. It returns nil if there is no such page, and whether
// the header is the one that it should have.
func (p *pages) load(id uint64) (n *node, whole bool) {
	if id < 2 || id >= p.n {
		return nil, false
	}
	size := int64(p.n-id) * p.size
	n = &node{id: id, at: io.NewSectionReader(p.file, int64(id)*p.size, size), size: size}
	if n.read(p.size) != nil {
		return nil, false
	}
	return n, order.Uint64(n.head) == id
}

// counts returns how many elements a page has according to its header, and according
// to where the data of the first element begins, which is behind the last element. The
// element says so at an offset.
func (n *node) counts(offset int) (said, fit int) {
	most := (len(n.head) - headerSize) / elementSize
	said = int(order.Uint16(n.head[10:]))
	if most > 0 {
		fit = int(order.Uint32(n.head[headerSize+offset:]) / elementSize)
	}
	return min(said, most), min(fit, most)
}

// records calls visit for each record of a leaf whose checksum is right. It reports
// whether all of them are there.
func (n *node) records(visit func(key, sealed []byte)) (whole bool) {
	said, fit := n.counts(4)
	whole = said == fit
	next := int64(headerSize + said*elementSize)
	for i := range max(said, fit) {
		at := int64(headerSize + i*elementSize)
		e := n.head[at : at+elementSize]
		keyAt := at + int64(order.Uint32(e[4:]))
		keySize, size := int64(order.Uint32(e[8:])), int64(order.Uint32(e[12:]))
		if order.Uint32(e) != 0 || keySize > store.MaxKey || size > checksumSize+MaxValue || keyAt != next {
			whole = false
		}
		next = keyAt + keySize + size
		if keySize == 0 || keySize > store.MaxKey || size > checksumSize+MaxValue {
			continue
		}
		data, err := n.bytes(keyAt, keySize+size)
		if err != nil {
			whole = false
			continue
		}
		key, sealed := data[:keySize], data[keySize:]
		if _, err := unseal(key, sealed); err != nil {
			whole = false
			continue
		}
		visit(key, sealed)
	}
	return whole
}

// child is an element of a branch: the page of a part of the tree, and its first key,
// which is nil if it cannot be right.
type child struct {
	id  uint64
	key []byte
	// sure says that the branch has as many children, whichever way they are counted.
	sure bool
}

// children returns the elements of a branch. It reports whether they are what a branch
// has.
func (n *node) children(keys span) (found []child, whole bool) {
	said, fit := n.counts(0)
	whole = said == fit && said > 0
	last := keys.low
	for i := range max(said, fit) {
		at := int64(headerSize + i*elementSize)
		e := n.head[at : at+elementSize]
		c := child{id: order.Uint64(e[8:]), sure: i < min(said, max(fit, 1))}
		if size := int64(order.Uint32(e[4:])); 0 < size && size <= store.MaxKey {
			key, err := n.bytes(at+int64(order.Uint32(e)), size)
			if err == nil && ascending(last, key, keys.high, i > 0) {
				c.key, last = key, key
			}
		}
		whole = whole && c.key != nil
		found = append(found, c)
	}
	return found, whole
}

// span returns the span of keys below a child. later are the children that follow, keys
// is the span of the branch.
func (c child) span(later []child, keys span) span {
	keys.depth++
	if c.key != nil {
		keys.low = c.key
	}
	for _, next := range later {
		if next.key != nil {
			keys.high = next.key
			break
		}
	}
	return keys
}

// kind returns what a page says that it is.
func (n *node) kind() uint16 { return order.Uint16(n.head[8:]) }

// has reports whether key is in the span.
func (s span) has(key []byte) bool {
	return bytes.Compare(s.low, key) <= 0 && (s.high == nil || bytes.Compare(key, s.high) < 0)
}
