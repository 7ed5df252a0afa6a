package durable

import (
	"iter"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// Block is a part of the line that is read.
type Block struct {
	from    uint64
	last    uint64
	expired []uint64 // if not empty, these are read, because they have waited long enough
	found   []lined
	err     error
	decoder wire.Decoder
}

type lined struct {
	number  uint64
	size    int
	message message
	damaged store.Record
}

// Read reads b from s. It takes as long as the disk does, and needs no lock.
func (b *Block) Read(s store.Store) {
	if len(b.expired) > 0 {
		b.readExpired(s)
		return
	}
	read := 0
	for at := b.from; at <= b.last && read < windowBytes && len(b.found) < WindowMessages/2; at = at | 0xff + 1 {
		// A scan begins where its prefix does: so many numbers share theirs.
		prefix := numberKey(keyMessage, at)
		for r, err := range s.Scan(prefix[:len(prefix)-1]) {
			if err != nil {
				b.err = err
				return
			}
			number, ok := numberOf(r.Key)
			if !ok || number < b.from {
				continue
			}
			if read >= windowBytes || len(b.found) >= WindowMessages {
				return // the rest follows with the next Block
			}
			read += len(r.Value)
			b.add(number, r)
		}
	}
}

// add keeps what was found under number.
func (b *Block) add(number uint64, r store.Record) {
	value := append([]byte(nil), r.Value...)
	m, err := decodeMessage(&b.decoder, value)
	found := lined{number: number, message: m}
	if err != nil {
		found.damaged = store.Record{Key: append([]byte(nil), r.Key...), Value: value}
	} else {
		found.size = m.publish.Cost()
	}
	b.found = append(b.found, found)
}

// Err returns why the Block could not be read.
func (b *Block) Err() error { return b.err }

// End returns the number after those that were read.
func (b *Block) End() uint64 {
	if len(b.found) == 0 {
		return b.last + 1
	}
	return b.found[len(b.found)-1].number + 1
}

// Found yields the messages that were read.
func (b *Block) Found() iter.Seq2[uint64, *wire.Publish] {
	return func(yield func(uint64, *wire.Publish) bool) {
		for i := range b.found {
			if f := &b.found[i]; f.damaged.Key == nil && !yield(f.number, &f.message.publish) {
				return
			}
		}
	}
}
