package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.etcd.io/bbolt"
)

// verifyFile checks the structure of the file at path, which is not empty, and also its
// values if they are asked for. It returns how many bytes are in use. bbolt trusts what it
// reads: wrong page numbers or lengths would make it panic, also on goroutines of its own,
// or loop forever. It therefore gets only files in which every page is where it should be.
func verifyFile(path string, values bool, wait time.Duration) (used int64, err error) {
	if info, err := os.Stat(path); err == nil && info.Size() < smallest {
		return 0, fmt.Errorf("%w: it has only %d bytes", ErrForeign, info.Size())
	}
	var file *os.File
	options := bbolt.Options{
		ReadOnly: true, // it reads the meta pages only
		Timeout:  wait,
		OpenFile: func(path string, flag int, mode os.FileMode) (opened *os.File, err error) {
			file, err = os.OpenFile(path, flag, mode)
			return file, err
		},
	}
	var db *bbolt.DB
	if err := guard(func() (err error) { db, err = bbolt.Open(path, 0, &options); return err }); err != nil {
		if file != nil {
			file.Close() // bbolt has done so, unless it panicked
		}
		return 0, describe(err)
	}
	defer db.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	v := verifier{file: file, pageSize: int64(db.Info().PageSize), values: values}
	var root uint64
	err = guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			v.pages = uint64(tx.Size() / v.pageSize)
			root = uint64(tx.Cursor().Bucket().RootPage())
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	if v.pages > uint64(info.Size()/v.pageSize) {
		return 0, fmt.Errorf("%w: %d pages of %d bytes do not fit into %d", ErrDamaged, v.pages, v.pageSize, info.Size())
	}
	if metas, size := readMetas(file); metas[0].ok != metas[1].ok {
		p := pages{file: file, size: size, n: v.pages}
		if metas[0].ok && p.newerThan(metas[1], metas[0]) || metas[1].ok && p.newerThan(metas[0], metas[1]) {
			return 0, fmt.Errorf("%w: the page that leads to the last Commit", ErrDamaged)
		}
	}
	v.seen = make([]uint64, v.pages/64+1)
	if err := v.page(root, v.bucket, span{}); err != nil {
		// A wrong byte in the right place makes a bucket of another name.
		p := pages{file: file, size: v.pageSize, n: v.pages}
		if _, ours := p.readRoot(root); ours && errors.Is(err, errAnother) && !errors.Is(err, errNewer) {
			return 0, fmt.Errorf("%w: the bucket of its records", ErrDamaged)
		}
		return 0, err
	}
	// Zero is the tally of a file that an early version has written.
	if t, ok := unpack(v.tally); v.tally != 0 && (!ok || t.sum != v.sum&sumMask) {
		return 0, fmt.Errorf("%w: its records are not those that were committed", ErrDamaged)
	}
	return v.used * v.pageSize, nil
}

// maxDepth is far more than the depth of any tree that fits on a disk.
const maxDepth = 64

// A page begins with its number (8 bytes), its kind (2), the count of its elements
// (2) and the number of pages that continue it (4). The elements follow, 16 bytes
// each, then what they point to. The bytes of numbers are in the machine's order.
const (
	headerSize  = 16
	elementSize = 16
	branchPage  = 1
	leafPage    = 2
)

var order = binary.NativeEndian

type verifier struct {
	file     io.ReaderAt
	pageSize int64
	values   bool   // also verify these
	pages    uint64 // number of pages in the file, the first two included
	seen     []uint64
	used     int64
	// tally is what the file says of its records, sum what they are.
	tally, sum uint64
}

// span is the range of keys in a part of the tree: from low on and below high. A nil
// bound does not limit.
type span struct {
	low, high []byte
	depth     int
}

// element is an entry of a leaf: a record, or a bucket if it has that flag. Its value
// has size bytes of a node.
type element struct {
	key      []byte
	bucket   bool
	node     *node
	at, size int64
}

// page verifies the part of a tree below the page id and calls visit for each element
// of its leaves.
func (v *verifier) page(id uint64, visit func(element) error, keys span) error {
	if id < 2 || id >= v.pages || keys.depth > maxDepth {
		return v.damaged(id, "is out of place")
	}
	var header [headerSize]byte
	if _, err := v.file.ReadAt(header[:], int64(id)*v.pageSize); err != nil {
		return err
	}
	more := uint64(order.Uint32(header[12:]))
	if order.Uint64(header[:]) != id || more >= v.pages-id {
		return v.damaged(id, "has a wrong header")
	}
	for i := id; i <= id+more; i++ {
		if v.seen[i/64]&(1<<(i%64)) != 0 {
			return v.damaged(i, "is used twice")
		}
		v.seen[i/64] |= 1 << (i % 64)
	}
	v.used += int64(more) + 1
	size := (int64(more) + 1) * v.pageSize
	n := node{id: id, at: io.NewSectionReader(v.file, int64(id)*v.pageSize, size), size: size}
	if err := n.read(v.pageSize); err != nil {
		return err
	}
	return v.node(&n, visit, keys)
}

func (v *verifier) node(n *node, visit func(element) error, keys span) error {
	count := int64(order.Uint16(n.head[10:]))
	if _, err := n.bytes(headerSize, count*elementSize); err != nil {
		return err
	}
	switch kind := order.Uint16(n.head[8:]); {
	case kind == branchPage && count > 0 && !n.inline:
		return v.branch(n, count, visit, keys)
	case kind == leafPage:
		return v.leaf(n, count, visit, keys)
	default:
		return v.damaged(n.id, "is of no known kind")
	}
}

func (v *verifier) branch(n *node, count int64, visit func(element) error, keys span) error {
	children := make([]uint64, count)
	lows := make([][]byte, count+1)
	lows[count] = keys.high
	for i := range count {
		at := headerSize + i*elementSize
		e, err := n.bytes(at, elementSize)
		if err != nil {
			return err
		}
		children[i] = order.Uint64(e[8:])
		lows[i], err = n.bytes(at+int64(order.Uint32(e)), int64(order.Uint32(e[4:])))
		if err != nil {
			return err
		}
		low := keys.low
		if i > 0 {
			low = lows[i-1]
		}
		if !ascending(low, lows[i], keys.high, i > 0) {
			return v.damaged(n.id, "has its keys out of order")
		}
	}
	for i, child := range children {
		if err := v.page(child, visit, span{lows[i], lows[i+1], keys.depth + 1}); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) leaf(n *node, count int64, visit func(element) error, keys span) error {
	previous := keys.low
	for i := range count {
		at := headerSize + i*elementSize
		e, err := n.bytes(at, elementSize)
		if err != nil {
			return err
		}
		flags, keyAt := order.Uint32(e), at+int64(order.Uint32(e[4:]))
		keySize, size := int64(order.Uint32(e[8:])), int64(order.Uint32(e[12:]))
		key, err := n.bytes(keyAt, keySize)
		if err != nil {
			return err
		}
		if !ascending(previous, key, keys.high, i > 0) {
			return v.damaged(n.id, "has its keys out of order")
		}
		if flags > 1 || keyAt+keySize+size > n.size {
			return v.damaged(n.id, "has a wrong value")
		}
		previous = key
		if err := visit(element{key: key, bucket: flags == 1, node: n, at: keyAt + keySize, size: size}); err != nil {
			return err
		}
	}
	return nil
}

// ascending reports whether key may stand between low and high. If strictly is set,
// it must be above low; otherwise it may equal low.
func ascending(low, key, high []byte, strictly bool) bool {
	c := bytes.Compare(low, key)
	return (c < 0 || c == 0 && !strictly) && (high == nil || bytes.Compare(key, high) < 0)
}

// bucket verifies an element at the root of the file: the bucket with all records.
// Its value is a page number and the tally. If the number is 0, the page itself
// follows.
func (v *verifier) bucket(e element) error {
	if version, ok := bytes.CutPrefix(e.key, []byte(bucketPrefix)); ok && e.bucket && !bytes.Equal(e.key, bucketName) {
		return fmt.Errorf("%w: a newer version of this package has written it, in format %q", errNewer, version)
	}
	if !bytes.Equal(e.key, bucketName) {
		return fmt.Errorf("%w: it has a bucket %q", errAnother, e.key)
	}
	if !e.bucket || e.size < headerSize {
		return fmt.Errorf("%w: the records are no bucket", ErrDamaged)
	}
	header, err := e.node.bytes(e.at, headerSize)
	if err != nil {
		return err
	}
	v.tally = order.Uint64(header[8:])
	if root := order.Uint64(header); root != 0 {
		return v.page(root, v.record, span{})
	}
	size := e.size - headerSize
	n := node{at: io.NewSectionReader(e.node.at, e.at+headerSize, size), size: size, inline: true}
	if err := n.read(min(size, v.pageSize)); err != nil {
		return err
	}
	return v.node(&n, v.record, span{})
}

func (v *verifier) record(e element) error {
	if e.bucket || e.size < checksumSize {
		return fmt.Errorf("%w: %q is no record", ErrDamaged, e.key)
	}
	size := int64(checksumSize)
	if v.values {
		size = e.size
	}
	sealed, err := e.node.bytes(e.at, size)
	if err != nil {
		return err
	}
	v.sum += numberOf(sealed)
	if v.values {
		_, err = unseal(e.key, sealed)
	}
	return err
}

func (v *verifier) damaged(page uint64, what string) error {
	return fmt.Errorf("%w: page %d %s", ErrDamaged, page, what)
}

// node is a page with its continuation pages, or a page inside a value.
type node struct {
	id     uint64
	at     io.ReaderAt
	size   int64
	inline bool
	head   []byte // its beginning, read in one go
}

func (n *node) read(head int64) error {
	if head < headerSize {
		return fmt.Errorf("%w: page in a value of %d bytes", ErrDamaged, head)
	}
	n.head = make([]byte, head)
	_, err := n.at.ReadAt(n.head, 0)
	return err
}

// bytes returns a part of the node. The caller must not change it.
func (n *node) bytes(at, length int64) ([]byte, error) {
	if at+length > n.size {
		return nil, fmt.Errorf("%w: page %d points beyond itself", ErrDamaged, n.id)
	}
	if at+length <= int64(len(n.head)) {
		return n.head[at : at+length : at+length], nil
	}
	b := make([]byte, length)
	_, err := n.at.ReadAt(b, at)
	return b, err
}
