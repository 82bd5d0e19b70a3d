package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// hashFor returns the hash with the given identifier, SHA-1 only for legacy messages.
func hashFor(oid string, legacy bool) (crypto.Hash, error) {
	hash := hashOf(oid)
	switch {
	case hash == 0:
		return 0, pki.Errorf(pki.BadKey, "the message uses the digest algorithm %.80s, which is not supported; supported are SHA-256, SHA-384 and SHA-512", oid)
	case hash == crypto.SHA1 && !legacy:
		return 0, pki.Errorf(pki.BadKey, "the message uses SHA-1, which is not taken here; use SHA-256")
	}
	return hash, nil
}

// signatures are the identifiers of signature algorithms that say their hash, which
// must be the one of the content's digest (RFC 5753, 2.1.1; RFC 5754, 3).
var signatures = map[string]struct {
	hash crypto.Hash
	rsa  bool // else ECDSA
}{
	der.OIDRSASHA1:     {crypto.SHA1, true},
	der.OIDRSASHA256:   {crypto.SHA256, true},
	der.OIDRSASHA384:   {crypto.SHA384, true},
	der.OIDRSASHA512:   {crypto.SHA512, true},
	der.OIDECDSASHA1:   {crypto.SHA1, false},
	der.OIDECDSASHA256: {crypto.SHA256, false},
	der.OIDECDSASHA384: {crypto.SHA384, false},
	der.OIDECDSASHA512: {crypto.SHA512, false},
}

// verify verifies the signature over signed by the key of spki.
func (s *SignerInfo) verify(spki []byte, hash crypto.Hash, signed []byte) error {
	key, err := tbs.ParsePublicKey(spki)
	if err != nil {
		return err
	}
	sum := func() []byte {
		h := hash.New()
		h.Write(signed)
		return h.Sum(nil)
	}
	known, ok := false, false
	switch pub := key.Crypto().(type) {
	case *rsa.PublicKey:
		if s.algorithm == der.OIDRSAPSS {
			var salt int
			if salt, known = readPSS(s.parameters, hash); known {
				ok = rsa.VerifyPSS(pub, hash, sum(), s.signature, &rsa.PSSOptions{SaltLength: salt}) == nil
			}
			break
		}
		alg := signatures[s.algorithm]
		known = (s.algorithm == der.OIDRSA || alg.rsa && alg.hash == hash) && noParameters(s.parameters)
		ok = known && rsa.VerifyPKCS1v15(pub, hash, sum(), s.signature) == nil
	case *ecdsa.PublicKey:
		alg := signatures[s.algorithm]
		known = !alg.rsa && alg.hash == hash && noParameters(s.parameters)
		ok = known && ecdsa.VerifyASN1(pub, sum(), s.signature)
	case ed25519.PublicKey:
		// RFC 8419, 3.1: with signed attributes the digest is SHA-512; the signature has
		// none.
		known = s.algorithm == der.OIDEd25519 && len(s.parameters) == 0 && (hash == crypto.SHA512 || s.signed == nil)
		ok = known && ed25519.Verify(pub, signed, s.signature)
	}
	switch {
	case !known:
		return pki.Errorf(pki.BadKey, "the message is signed with the algorithm %.80s, which is not supported, or does not fit the signer's key or the digest algorithm", s.algorithm)
	case !ok:
		return pki.Errorf(pki.BadProof, "the message's signature does not verify with its signer's key")
	}
	return nil
}

// maxSalt bounds the salt of PSS: a key of 8192 bits holds no longer one. Of a salt of
// length 0 crypto/rsa finds out the length by itself.
const maxSalt = 1024

// readPSS reads RSASSA-PSS-params (RFC 4055, 3.1): of them only the salt's length is
// free, since hash and the hash of MGF1 must be the one of the content's digest
// (RFC 4056, 3). What is absent says SHA-1.
func readPSS(parameters cryptobyte.String, hash crypto.Hash) (salt int, ok bool) {
	content, ok := der.ReadOnly(parameters, asn1.SEQUENCE)
	digest, mask, trailer := crypto.SHA1, crypto.SHA1, 1
	salt = 20
	ok = ok &&
		readOptional(&content, 0, func(s *cryptobyte.String) bool { return readHash(s, &digest) }) &&
		readOptional(&content, 1, func(s *cryptobyte.String) bool { return readMGF1(s, &mask) }) &&
		readOptional(&content, 2, func(s *cryptobyte.String) bool { return s.ReadASN1Integer(&salt) }) &&
		readOptional(&content, 3, func(s *cryptobyte.String) bool { return s.ReadASN1Integer(&trailer) })
	return salt, ok && content.Empty() && digest == hash && mask == hash && 0 <= salt && salt <= maxSalt && trailer == 1
}

// readOptional reads the field [n] of parameters with read, where it is there.
func readOptional(content *cryptobyte.String, n uint8, read func(*cryptobyte.String) bool) bool {
	var field cryptobyte.String
	var there bool
	return content.ReadOptionalASN1(&field, &there, der.Explicit(n)) && (!there || read(&field) && field.Empty())
}

// readHash reads the AlgorithmIdentifier of a hash.
func readHash(s *cryptobyte.String, hash *crypto.Hash) bool {
	var oid string
	var parameters cryptobyte.String
	ok := readAlgorithm(s, &oid, &parameters) && noParameters(parameters)
	*hash = hashOf(oid)
	return ok && *hash != 0
}

// readMGF1 reads the AlgorithmIdentifier of MGF1 with a hash (RFC 8017, A.2.1).
func readMGF1(s *cryptobyte.String, hash *crypto.Hash) bool {
	var oid string
	var parameters cryptobyte.String
	return readAlgorithm(s, &oid, &parameters) && oid == der.OIDMGF1 && readHash(&parameters, hash) && parameters.Empty()
}
