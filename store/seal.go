package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
)

// A sealed value is a byte for the format, a random nonce of 24 bytes, and what
// XAES-256-GCM makes of the value. (https://c2sp.org/XAES-256-GCM)
//
// AES-GCM itself has nonces of 12 bytes. Random ones are safe for some 2^32 values, which
// a busy program writes in days. XAES-256-GCM derives a key from the first half of a
// longer nonce and uses the second half with it, so nobody has to count.
const (
	sealedFormat = 1
	nonceSize    = 24
	tagSize      = 16
	overhead     = 1 + nonceSize + tagSize
)

// sealer encrypts and authenticates values. It is safe for concurrent use.
type sealer struct {
	block cipher.Block
	// k1 is a subkey of CMAC, as NIST SP 800-38B has it.
	k1 [aes.BlockSize]byte
}

func newSealer(key []byte) (*sealer, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("store: encrypt: a key has 32 bytes, not %d", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("store: encrypt: %w", err)
	}
	s := &sealer{block: block}
	block.Encrypt(s.k1[:], s.k1[:])
	carry := byte(0)
	for i := len(s.k1) - 1; i >= 0; i-- {
		s.k1[i], carry = s.k1[i]<<1|carry, s.k1[i]>>7
	}
	s.k1[len(s.k1)-1] ^= carry * 0x87
	return s, nil
}

// aead returns AES-256-GCM with the key that belongs to the first half of a nonce.
func (s *sealer) aead(nonce []byte) cipher.AEAD {
	var key [2 * aes.BlockSize]byte
	for i := range 2 {
		part := key[i*aes.BlockSize:][:aes.BlockSize]
		copy(part, []byte{0, byte(i + 1), 'X', 0})
		copy(part[4:], nonce[:nonceSize/2])
		subtle.XORBytes(part, part, s.k1[:])
		s.block.Encrypt(part, part)
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the length of the key is right
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the size of a block is that of AES
	}
	return gcm
}

// seal returns what is stored as the value of key.
func (s *sealer) seal(key, value []byte) []byte {
	sealed := make([]byte, 1+nonceSize, overhead+len(value))
	sealed[0] = sealedFormat
	nonce := sealed[1:]
	_, _ = rand.Read(nonce) // it never fails
	return s.aead(nonce).Seal(sealed, nonce[nonceSize/2:], value, about(key))
}

// open appends to b the value that seal was given.
func (s *sealer) open(b, key, sealed []byte) ([]byte, error) {
	if len(sealed) < overhead || sealed[0] != sealedFormat {
		return b, fmt.Errorf("the value of %q is not an encrypted one", key)
	}
	nonce, text := sealed[1:1+nonceSize], sealed[1+nonceSize:]
	value, err := s.aead(nonce).Open(b, nonce[nonceSize/2:], text, about(key))
	if err != nil {
		return b, fmt.Errorf("the value of %q was changed, or encrypted with another key", key)
	}
	return value, nil
}

// about is the additional data of a value: what it belongs to.
func about(key []byte) []byte { return append([]byte{sealedFormat}, key...) }
