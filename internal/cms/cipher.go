package cms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/fips140"
	"crypto/rand"
	"crypto/subtle"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// A Cipher is what content is encrypted with. The zero Cipher is none.
type Cipher int

// The ciphers. With CBC a message is an EnvelopedData (RFC 5652, 6; RFC 3565), which
// protects no integrity; with GCM it is an AuthEnvelopedData (RFC 5083; RFC 5084), which
// OpenSSL before mid-2026 reads only where the content is id-data.
const (
	AES128CBC Cipher = iota + 1
	AES192CBC
	AES256CBC
	AES128GCM
	AES192GCM
	AES256GCM

	tripleDESCBC // read only, as the next
	desCBC
)

// ciphers are what the ciphers are, in their order.
var ciphers = [...]struct {
	oid     string
	keySize int
	gcm     bool
}{
	AES128CBC:    {der.OIDAES128CBC, 16, false},
	AES192CBC:    {der.OIDAES192CBC, 24, false},
	AES256CBC:    {der.OIDAES256CBC, 32, false},
	AES128GCM:    {der.OIDAES128GCM, 16, true},
	AES192GCM:    {der.OIDAES192GCM, 24, true},
	AES256GCM:    {der.OIDAES256GCM, 32, true},
	tripleDESCBC: {der.OIDTripleDESCBC, 24, false},
	desCBC:       {der.OIDDESCBC, 8, false},
}

// legacy reports whether the cipher is one that clients from before 2015 use, and that
// nothing is written with.
func (c Cipher) legacy() bool { return c >= tripleDESCBC }

// GCM has nonces of 12 octets, and tags of 12 to 16 (RFC 5084, 3.2).
const (
	gcmNonceSize = 12
	gcmTagSize   = 16
	gcmMinTag    = 12
)

// seal encrypts content. With GCM it authenticates aad too.
func (c Cipher) seal(key secret, content, aad []byte) (algorithm, sealed, tag []byte, err error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, nil, err
	}
	if !ciphers[c].gcm {
		iv := make([]byte, aes.BlockSize)
		rand.Read(iv)
		padding := aes.BlockSize - len(content)%aes.BlockSize // RFC 5652, 6.3
		sealed = make([]byte, len(content)+padding)
		for i := copy(sealed, content); i < len(sealed); i++ {
			sealed[i] = byte(padding)
		}
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, sealed)
		return c.identifier(der.Append(nil, asn1.OCTET_STRING, iv)), sealed, nil, nil
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, nil, nil, err
	}
	out := gcm.Seal(nil, nil, content, aad)
	nonce, sealed, tag := out[:gcmNonceSize], out[gcmNonceSize:len(out)-gcmTagSize], out[len(out)-gcmTagSize:]
	parameters := der.Append(nil, asn1.OCTET_STRING, nonce)
	parameters = der.AppendInteger(parameters, gcmTagSize)
	return c.identifier(der.Append(nil, asn1.SEQUENCE, parameters)), sealed, tag, nil
}

// identifier returns the AlgorithmIdentifier with the given parameters.
func (c Cipher) identifier(parameters []byte) []byte {
	return der.Append(nil, asn1.SEQUENCE, append(der.MustOID(ciphers[c].oid), parameters...))
}

// A sealedContent is content that was read and is still encrypted.
type sealedContent struct {
	cipher Cipher
	iv     []byte // or nonce
	sealed []byte
	tag    []byte // of GCM
	aad    []byte
}

// readCipher reads a ContentEncryptionAlgorithmIdentifier. An algorithm that is not
// known is a BadKey error.
func (s *sealedContent) readCipher(in *cryptobyte.String) error {
	var oid string
	var parameters cryptobyte.String
	if !readAlgorithm(in, &oid, &parameters) {
		return errEnvelope()
	}
	for c := AES128CBC; int(c) < len(ciphers); c++ {
		if ciphers[c].oid != oid {
			continue
		}
		s.cipher = c
		if ciphers[c].gcm {
			return s.readGCM(parameters)
		}
		size := aes.BlockSize
		if c.legacy() {
			size = des.BlockSize
		}
		if !parameters.ReadASN1((*cryptobyte.String)(&s.iv), asn1.OCTET_STRING) || !parameters.Empty() || len(s.iv) != size {
			return errEnvelope()
		}
		return nil
	}
	return pki.Errorf(pki.BadKey, "the message is encrypted with the algorithm %.80s, which is not supported; supported are AES-CBC and AES-GCM", oid)
}

// readGCM reads GCMParameters (RFC 5084, 3.2).
func (s *sealedContent) readGCM(parameters cryptobyte.String) error {
	var content cryptobyte.String
	size := gcmMinTag // the default
	if !parameters.ReadASN1(&content, asn1.SEQUENCE) || !parameters.Empty() ||
		!content.ReadASN1((*cryptobyte.String)(&s.iv), asn1.OCTET_STRING) ||
		!content.Empty() && !content.ReadASN1Integer(&size) || !content.Empty() {
		return errEnvelope()
	}
	if len(s.iv) != gcmNonceSize || size != len(s.tag) || size < gcmMinTag || size > gcmTagSize {
		return pki.Errorf(pki.BadKey, "the message uses GCM with a nonce of %d octets and a tag of %d; it has a nonce of 12 and a tag of 12 to 16", len(s.iv), len(s.tag))
	}
	return nil
}

// open decrypts the content; nil where it cannot be. The key has the cipher's size.
func (s *sealedContent) open(key secret) []byte {
	var block cipher.Block
	var err error
	switch s.cipher {
	case tripleDESCBC:
		block, err = des.NewTripleDESCipher(key)
	case desCBC:
		block, err = des.NewCipher(key)
	default:
		block, err = aes.NewCipher(key)
	}
	if err != nil {
		return nil
	}
	if ciphers[s.cipher].gcm {
		return s.openGCM(block)
	}
	size := block.BlockSize()
	if len(s.sealed) == 0 || len(s.sealed)%size != 0 {
		return nil
	}
	out := make([]byte, len(s.sealed))
	cipher.NewCBCDecrypter(block, s.iv).CryptBlocks(out, s.sealed)
	return unpad(out, size)
}

// unpad takes the padding of RFC 5652, 6.3 off, in a time that does not say where a
// wrong one is wrong; nil where it is.
func unpad(out []byte, size int) []byte {
	padding := int(out[len(out)-1])
	good := subtle.ConstantTimeLessOrEq(1, padding) & subtle.ConstantTimeLessOrEq(padding, size)
	for i := 1; i <= size; i++ {
		in := subtle.ConstantTimeLessOrEq(i, padding)
		same := subtle.ConstantTimeByteEq(out[len(out)-i], byte(padding))
		good &= 1 ^ in | same
	}
	if good == 0 {
		clear(out)
		return nil
	}
	return out[: len(out)-padding : len(out)-padding]
}

// openGCM decrypts what is authentic.
func (s *sealedContent) openGCM(block cipher.Block) (out []byte) {
	var gcm cipher.AEAD
	var err error
	// FIPS 140-3 bounds who chooses the nonce to encrypt with, which was done elsewhere
	// (SP 800-38D, 8); the mode knows one constructor for both ways.
	fips140.WithoutEnforcement(func() { gcm, err = cipher.NewGCMWithTagSize(block, len(s.tag)) })
	if err != nil {
		return nil
	}
	sealed := make([]byte, 0, len(s.sealed)+len(s.tag))
	sealed = append(append(sealed, s.sealed...), s.tag...)
	if out, err = gcm.Open(sealed[:0], s.iv, sealed, s.aad); err != nil {
		return nil
	}
	return out
}

// errEnvelope says that the fields of an envelope are not well-formed.
func errEnvelope() error {
	return pki.Errorf(pki.Malformed, "the message's fields are not those of a CMS EnvelopedData or AuthEnvelopedData")
}
