package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
)

var (
	// errAnother says of a file that it is certainly none of ours: there is nothing to
	// salvage.
	errAnother = fmt.Errorf("%w", ErrForeign)
	// errNewer says the same of one that is ours.
	errNewer = fmt.Errorf("%w", errAnother)
)

// salvage puts a new file with what can be read in the place of a damaged one, and keeps
// the damaged one beside it. It does nothing if another process has done so meanwhile.
func salvage(path string, config Config, deadline time.Time, damage error) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	// Who has this lock may replace the file; bbolt takes the same.
	if err := lock(file, deadline); err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Stat(path); err != nil || !os.SameFile(info, there) {
		return err
	}
	found, err := findTree(file, info.Size(), damage)
	if err != nil {
		return err
	}
	name := path + ".salvage"
	if err := writeSalvaged(name, found); err != nil {
		_ = os.Remove(name)
		return fmt.Errorf("salvage it: %w", err)
	}
	_ = os.Chmod(name, info.Mode().Perm())
	if runtime.GOOS == "windows" { // which renames no open file
		file.Close()
	}
	aside, err := setAside(path, name)
	if err != nil {
		_ = os.Remove(name)
		return fmt.Errorf("set the damaged file aside: %w", err)
	}
	if !errors.Is(damage, ErrDamaged) { // too little is left to say whose it is
		damage = fmt.Errorf("%w: %w", ErrDamaged, damage)
	}
	config.Salvage(aside, fmt.Errorf("store/bolt: open %s: %w; %s", path, damage, found.missing))
	return nil
}

// salvaged is what there is to be kept of a file.
type salvaged struct {
	pageSize int64
	leaves   []*node
	// missing says what may be missing, in words.
	missing string
}

// findTree finds the records of a damaged file. It returns damage if the file may be none
// of this package.
func findTree(file *os.File, size int64, damage error) (*salvaged, error) {
	metas, pageSize := readMetas(file)
	s := newSalvager(pages{file: file, size: pageSize, n: uint64(size / pageSize)})
	if metas[0].foreign || metas[1].foreign {
		return nil, damage
	}
	magic := metas[0].magic || metas[1].magic
	found := &salvaged{pageSize: pageSize, missing: "no record could be read"}
	r, last, ok := s.findRoot(metas)
	if !ok && !magic {
		return nil, damage
	}
	if !ok {
		return found, nil
	}
	trees := s.plant(r)
	kept := trees[0]
	for _, t := range trees {
		if t.leaves == nil { // it is to be found by its sum
			s.undo(0)
		}
		if r.known && s.mend(t, r.tally.sum) {
			kept, found.missing = t, "all records could be read"
			if !last {
				found.missing = "all records could be read, but perhaps of an earlier Commit"
			}
			break
		}
		found.missing = "records are missing"
		if !r.known && t.whole {
			found.missing = "records may be missing"
		}
	}
	found.leaves = kept.leaves
	return found, nil
}

// writeSalvaged makes a file of what was found.
func writeSalvaged(name string, found *salvaged) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // the rest of an interrupted attempt
	}
	d, err := openDatabase(name, Config{NoSync: true}, -1)
	if err != nil {
		return err
	}
	err = guard(func() error {
		if err := d.ensureBucket(); err != nil {
			return err
		}
		for leaves := found.leaves; len(leaves) > 0; {
			n := 0
			err := d.Update(func(tx *bbolt.Tx) (err error) {
				n, err = copyLeaves(tx.Bucket(bucketName), leaves, found.pageSize)
				return err
			})
			if err != nil {
				return err
			}
			leaves = leaves[n:]
		}
		err := d.Update(func(tx *bbolt.Tx) error { return startTally(tx.Bucket(bucketName)) })
		if err != nil {
			return err
		}
		return d.Sync()
	})
	return errors.Join(err, d.close())
}

// copyLeaves copies the records of some leaves, and returns of how many.
func copyLeaves(bucket *bbolt.Bucket, leaves []*node, pageSize int64) (n int, err error) {
	size := 0
	for _, leaf := range leaves {
		if size > maxGroup {
			break
		}
		if err := leaf.read(min(leaf.size, pageSize)); err != nil {
			return n, err
		}
		leaf.records(func(key, sealed []byte) {
			if err == nil && bucket.Get(key) == nil {
				err = bucket.Put(key, sealed)
				size += len(key) + len(sealed) + opCost
			}
		})
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// setAside gives the file at path a name beside it that is free, and its own name to
// another file.
func setAside(path, replacement string) (aside string, err error) {
	for i := 1; ; i++ {
		aside = fmt.Sprintf("%s.damaged%d", path, i)
		err := os.Link(path, aside)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			break
		}
		// The file system has no links. For a moment there is no file at path.
		if _, err := os.Lstat(aside); err == nil {
			continue
		}
		if err := os.Rename(path, aside); err != nil {
			return "", err
		}
		break
	}
	if err := os.Rename(replacement, path); err != nil {
		return "", err
	}
	return aside, syncDirectory(path)
}
