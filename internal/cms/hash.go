package cms

import (
	"crypto"
	_ "crypto/sha1" // the hashes of the table
	_ "crypto/sha256"
	_ "crypto/sha512"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
)

// hashes are the hash functions that are read and written.
var hashes = [...]struct {
	oid  string
	hash crypto.Hash
}{
	{der.OIDSHA256, crypto.SHA256},
	{der.OIDSHA384, crypto.SHA384},
	{der.OIDSHA512, crypto.SHA512},
	{der.OIDSHA1, crypto.SHA1},
}

// hashOf returns the hash with the given identifier, or 0.
func hashOf(oid string) crypto.Hash {
	for _, h := range hashes {
		if h.oid == oid {
			return h.hash
		}
	}
	return 0
}

// digestAlgorithm returns the AlgorithmIdentifier of one of hashes, without
// parameters (RFC 5754, 2).
func digestAlgorithm(hash crypto.Hash) []byte {
	for _, h := range hashes {
		if h.hash == hash {
			return der.Append(nil, asn1.SEQUENCE, der.MustOID(h.oid))
		}
	}
	return nil
}
