package cms

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/subtle"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// What is written for passwords: PBKDF2 with HMAC-SHA-256 and a salt of 16 octets. With
// PasswordIterations a guess costs a tenth of a second; RandomIterations, as many as
// openssl writes, are enough for what nobody guesses.
const (
	PasswordIterations = 600_000
	RandomIterations   = 2048
	passwordSalt       = 16
	passwordKeySize    = 32
)

// A PasswordKey is derived from a password, which costs, and encrypts any number of
// messages to whoever knows it.
type PasswordKey struct {
	salt       []byte
	iterations int
	kek        secret
}

// DerivePassword derives a key from a password, with a new salt.
func DerivePassword(password pki.Secret, iterations int) (*PasswordKey, error) {
	k := &PasswordKey{salt: make([]byte, passwordSalt), iterations: iterations}
	rand.Read(k.salt)
	var err error
	k.kek, err = pbkdf2.Key(crypto.SHA256.New, password.Reveal(), k.salt, iterations, passwordKeySize)
	return k, err
}

// prfs are the pseudo-random functions of PBKDF2 (RFC 8018, A.2).
var prfs = map[string]crypto.Hash{
	der.OIDHMACSHA1: crypto.SHA1, der.OIDHMACSHA256: crypto.SHA256, der.OIDHMACSHA384: crypto.SHA384, der.OIDHMACSHA512: crypto.SHA512,
}

// password returns the PasswordRecipientInfo (RFC 5652, 6.2.4) of key.
func (r *Recipient) password(key secret) ([]byte, error) {
	iv := make([]byte, aes.BlockSize)
	rand.Read(iv)
	derived := r.Derived
	if derived == nil {
		var err error
		if derived, err = DerivePassword(r.Password, PasswordIterations); err != nil {
			return nil, err
		}
		defer clear(derived.kek)
	}
	block, err := aes.NewCipher(derived.kek)
	if err != nil {
		return nil, err
	}
	derivation := der.Append(nil, asn1.OCTET_STRING, derived.salt)
	derivation = der.AppendInteger(derivation, uint64(derived.iterations))
	derivation = der.Append(derivation, asn1.SEQUENCE, append(der.MustOID(der.OIDHMACSHA256), asn1Null...))
	derivation = append(der.MustOID(der.OIDPBKDF2), der.Append(nil, asn1.SEQUENCE, derivation)...)

	info := der.AppendInteger(nil, 0)
	info = der.Append(info, der.Explicit(0), derivation)
	encryption := append(der.MustOID(der.OIDPWRIKEK), AES256CBC.identifier(der.Append(nil, asn1.OCTET_STRING, iv))...)
	info = der.Append(info, asn1.SEQUENCE, encryption)
	info = der.Append(info, asn1.OCTET_STRING, wrapPassword(block, iv, key))
	return der.Wrap(info, 0, der.Explicit(3)), nil
}

// readPassword reads the content of a PasswordRecipientInfo.
func readPassword(info cryptobyte.String) (r recipientInfo, ok bool) {
	var version uint64
	var there bool
	ok = info.ReadASN1Integer(&version) &&
		info.ReadOptionalASN1(&r.derivation, &there, der.Explicit(0)) &&
		readAlgorithm(&info, &r.algorithm, &r.parameters) &&
		info.ReadASN1((*cryptobyte.String)(&r.encrypted), asn1.OCTET_STRING) && info.Empty()
	r.recover = (*recipientInfo).fromPassword
	return r, ok
}

// A derivation is PBKDF2 with its parameters (RFC 8018, A.2).
type derivation struct {
	salt       []byte
	iterations int
	keySize    int // 0 where it is not said
	hash       crypto.Hash
}

// readDerivation reads the content of the AlgorithmIdentifier of PBKDF2.
func readDerivation(s cryptobyte.String) (d derivation, ok bool) {
	var oid string
	var content, prf cryptobyte.String
	d.hash = crypto.SHA1
	ok = der.ReadOID(&s, &oid) && oid == der.OIDPBKDF2 &&
		s.ReadASN1(&content, asn1.SEQUENCE) && s.Empty() &&
		content.ReadASN1((*cryptobyte.String)(&d.salt), asn1.OCTET_STRING) &&
		content.ReadASN1Integer(&d.iterations) && d.iterations > 0
	if ok && content.PeekASN1Tag(asn1.INTEGER) {
		ok = content.ReadASN1Integer(&d.keySize) && d.keySize > 0
	}
	if ok && !content.Empty() {
		ok = readAlgorithm(&content, &oid, &prf) && noParameters(prf) && content.Empty()
		d.hash = prfs[oid]
	}
	return d, ok && d.hash != 0
}

// fromPassword unwraps a key of the given size. Its iterations come off k's budget.
func (r *recipientInfo) fromPassword(k *Key, size int, _ bool) (secret, error) {
	d, ok := readDerivation(r.derivation)
	var kek sealedContent
	encryption := r.parameters
	if !ok || r.algorithm != der.OIDPWRIKEK || kek.readCipher(&encryption) != nil || !encryption.Empty() ||
		ciphers[kek.cipher].gcm || kek.cipher.legacy() {
		return nil, pki.Errorf(pki.BadKey, "the message's key is encrypted under a password in a way that is not supported; supported are PBKDF2 with HMAC of SHA-1 or SHA-2, and PWRI-KEK with AES-CBC")
	}
	keySize := ciphers[kek.cipher].keySize
	if d.keySize != 0 && d.keySize != keySize {
		return nil, errEnvelope()
	}
	if k.iterations += d.iterations; d.iterations > maxIterations || k.iterations > maxIterations {
		return nil, pki.Errorf(pki.BadKey, "the message's key is encrypted under a password with more than %d iterations of PBKDF2", maxIterations)
	}
	derived, err := pbkdf2.Key(d.hash.New, k.Password.Reveal(), d.salt, d.iterations, keySize)
	if err != nil {
		return nil, nil
	}
	defer clear(derived)
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, nil
	}
	return unwrapPassword(block, kek.iv, r.encrypted, size), nil
}

// wrapPassword encrypts key by PWRI-KEK (RFC 3211, 2.3.1): its length, a check of its
// first octets, itself and random padding, twice over, the second time with the last
// block of the first as the initialization vector.
func wrapPassword(block cipher.Block, iv []byte, key secret) []byte {
	size := block.BlockSize()
	out := newSecret(max(2*size, (4+len(key)+size-1)/size*size))
	out[0] = byte(len(key))
	for i := range 3 {
		out[1+i] = ^key[i]
	}
	copy(out[4:], key)
	for range 2 {
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, out)
		iv = append([]byte(nil), out[len(out)-size:]...)
	}
	return out
}

// unwrapPassword returns the key of the given size that wrapPassword encrypted; nil where
// it is not one.
func unwrapPassword(block cipher.Block, iv, wrapped []byte, size int) secret {
	blockSize := block.BlockSize()
	n := len(wrapped)
	if n < 2*blockSize || n%blockSize != 0 || n < 4+size {
		return nil
	}
	out := append(secret(nil), wrapped...)
	last := out[n-blockSize:]
	// RFC 3211, 2.3.2: the last block tells the vector of the outer layer.
	cipher.NewCBCDecrypter(block, wrapped[n-2*blockSize:n-blockSize]).CryptBlocks(last, last)
	outer := append([]byte(nil), last...)
	cipher.NewCBCDecrypter(block, outer).CryptBlocks(out[:n-blockSize], out[:n-blockSize])
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, out)
	good := subtle.ConstantTimeByteEq(out[0], byte(size))
	for i := range 3 {
		good &= subtle.ConstantTimeByteEq(out[1+i], ^out[4+i])
	}
	if good != 1 {
		return nil
	}
	return out[4 : 4+size]
}
