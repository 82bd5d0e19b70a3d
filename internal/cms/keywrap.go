package cms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"slices"

	"github.com/pando-pki/pando/internal/der"
)

// wraps are the AES key wrap algorithms (RFC 3565, 2.3.2), by the size of their key.
var wraps = map[string]int{der.OIDAES128Wrap: 16, der.OIDAES192Wrap: 24, der.OIDAES256Wrap: 32}

// wrapOf returns the identifier of the key wrap with keys of the given size.
func wrapOf(size int) string {
	for oid, n := range wraps {
		if n == size {
			return oid
		}
	}
	return ""
}

// wrapIV is the initial value of RFC 3394, 2.2.3.1.
const wrapIV = "\xa6\xa6\xa6\xa6\xa6\xa6\xa6\xa6"

// wrapKey wraps key, of a multiple of 8 octets, under kek (RFC 3394, 2.2.1).
func wrapKey(kek, key secret) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	r := append([]byte(wrapIV), key...)
	n := len(key) / 8
	var b [aes.BlockSize]byte
	copy(b[:8], wrapIV)
	for t := 1; t <= 6*n; t++ {
		i := 8 * ((t-1)%n + 1)
		copy(b[8:], r[i:i+8])
		block.Encrypt(b[:], b[:])
		copy(r[i:], b[8:])
		mixStep(b[:8], t)
	}
	copy(r, b[:8])
	return r, nil
}

// unwrapKey returns the key that is wrapped (RFC 3394, 2.2.2); nil where it is not one
// of the given size under kek.
func unwrapKey(kek secret, wrapped []byte, size int) secret {
	block, err := aes.NewCipher(kek)
	if err != nil || len(wrapped) != size+8 || size%8 != 0 {
		return nil
	}
	return unwrapBlocks(block, wrapped)
}

func unwrapBlocks(block cipher.Block, wrapped []byte) secret {
	r := slices.Clone(wrapped)
	n := len(r)/8 - 1
	var b [aes.BlockSize]byte
	copy(b[:8], r)
	for t := 6 * n; t > 0; t-- {
		i := 8 * ((t-1)%n + 1)
		mixStep(b[:8], t)
		copy(b[8:], r[i:i+8])
		block.Decrypt(b[:], b[:])
		copy(r[i:], b[8:])
	}
	if subtle.ConstantTimeCompare(b[:8], []byte(wrapIV)) != 1 {
		return nil
	}
	return r[8:]
}

// mixStep adds the number of the step to the integrity check register.
func mixStep(a []byte, t int) {
	binary.BigEndian.PutUint64(a, binary.BigEndian.Uint64(a)^uint64(t))
}
