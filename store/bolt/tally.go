package bolt

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// bbolt has no checksums for its pages. A page number that went wrong may lead to an
// older version of a page, in which every record is well formed: messages would be back
// that were delivered, or be gone. Each Commit therefore writes a tally of all records,
// and Open compares it with those that it finds.

// tally tells one set of records from another. It is written as the sequence number of
// the bucket, which bbolt rewrites with every Commit in any case.
type tally struct {
	// commits counts the Commits, up to commitBits.
	commits uint64
	// sum is the sum of a number for each record, up to sumBits.
	sum uint64
}

// The tally has 64 bits: commits, sum, and a checksum of the two.
const (
	commitBits = 12
	sumBits    = 36
	checkBits  = 64 - commitBits - sumBits

	commitMask = 1<<commitBits - 1
	sumMask    = 1<<sumBits - 1
)

func (t tally) pack() uint64 {
	packed := t.commits<<(64-commitBits) | (t.sum&sumMask)<<checkBits
	return packed | scatter(packed)>>(64-checkBits)
}

// unpack returns the tally that was packed, and whether it was. Zero is none: files of
// early versions have it.
func unpack(packed uint64) (tally, bool) {
	t := tally{commits: packed >> (64 - commitBits), sum: packed >> checkBits & sumMask}
	return t, packed != 0 && t.pack() == packed
}

// numberOf returns the number of a record that has this sealed value: its checksum,
// scattered so that numbers of different records do not make up for each other.
func numberOf(sealed []byte) uint64 {
	if len(sealed) < checksumSize {
		return 0
	}
	return scatter(uint64(binary.LittleEndian.Uint32(sealed)))
}

// scatter is the last step of SplitMix64: each bit of x changes half of the result.
func scatter(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// next returns the tally of the Commit that follows.
func (t tally) next() tally {
	t.commits = (t.commits + 1) & commitMask
	return t
}

// after reports whether t is of a later Commit than other, if not of a much later one.
func (t tally) after(other tally) bool {
	d := (t.commits - other.commits) & commitMask
	return 0 < d && d <= commitMask/2
}

// tallyOf returns the tally of a bucket, which Open has verified.
func tallyOf(bucket *bbolt.Bucket) (tally, error) {
	t, ok := unpack(bucket.Sequence())
	if !ok {
		return t, fmt.Errorf("%w: the tally of its records", ErrDamaged)
	}
	return t, nil
}

// startTally gives a bucket that has none its tally.
func startTally(bucket *bbolt.Bucket) error {
	var t tally
	err := bucket.ForEach(func(_, sealed []byte) error {
		t.sum += numberOf(sealed)
		return nil
	})
	if err != nil {
		return err
	}
	return bucket.SetSequence(t.next().pack())
}
