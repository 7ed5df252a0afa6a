package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/seed65a45251/mqtt/store"
)

// bbolt has checksums only for its two meta pages. Each value therefore begins with a
// checksum of its key and itself, so that data that a disk has mixed up is not taken
// for a message.
const checksumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal returns what is written as the value of key.
func seal(key, value []byte) []byte {
	sealed := make([]byte, checksumSize+len(value))
	binary.LittleEndian.PutUint32(sealed, checksum(key, value))
	copy(sealed[checksumSize:], value)
	return sealed
}

// unseal returns the value that seal was given, as part of sealed.
func unseal(key, sealed []byte) ([]byte, error) {
	if len(sealed) < checksumSize || binary.LittleEndian.Uint32(sealed) != checksum(key, sealed[checksumSize:]) {
		return nil, fmt.Errorf("%w: checksum of the value of %q", ErrDamaged, key)
	}
	return sealed[checksumSize:], nil
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// check refuses operations that bbolt or its file could not take, before they can
// spoil a transaction that they share with others.
func check(ops []store.Op) error {
	if err := store.Check(ops); err != nil {
		return err
	}
	for i, op := range ops {
		if !op.Delete && len(op.Value) > MaxValue {
			return fmt.Errorf("store/bolt: operation %d: %w (%d bytes)", i, ErrValue, len(op.Value))
		}
	}
	return nil
}
