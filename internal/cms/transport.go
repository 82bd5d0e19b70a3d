package cms

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// oaepSHA256 is the AlgorithmIdentifier of RSAES-OAEP with SHA-256, MGF1 with the same
// and no label (RFC 4055, 4.1).
var oaepSHA256 = func() []byte {
	hash := der.Append(nil, asn1.SEQUENCE, append(der.MustOID(der.OIDSHA256), asn1Null...))
	mask := der.Append(nil, asn1.SEQUENCE, append(der.MustOID(der.OIDMGF1), hash...))
	parameters := der.Append(nil, der.Explicit(0), hash)
	parameters = der.Append(parameters, der.Explicit(1), mask)
	parameters = der.Append(nil, asn1.SEQUENCE, parameters)
	return der.Append(nil, asn1.SEQUENCE, append(der.MustOID(der.OIDRSAOAEP), parameters...))
}()

// transport returns the KeyTransRecipientInfo (RFC 5652, 6.2.1) of key for pub.
func (r *Recipient) transport(p *party, pub *rsa.PublicKey, key secret) (info []byte, err error) {
	algorithm := rsaEncryption
	var encrypted []byte
	if r.OAEP {
		algorithm = oaepSHA256
		encrypted, err = rsa.EncryptOAEP(crypto.SHA256.New(), rand.Reader, pub, key, nil)
	} else {
		//lint:ignore SA1019 clients of CMS know nothing else (RFC 3370, 4.2.1)
		encrypted, err = rsa.EncryptPKCS1v15(rand.Reader, pub, key)
	}
	if err != nil {
		return nil, pki.Because(pki.BadKey, err, "the recipient's RSA key cannot be encrypted to")
	}
	version := uint64(0)
	if r.KeyID {
		version = 2
	}
	if info, err = p.appendName(der.AppendInteger(nil, version), r.KeyID); err != nil {
		return nil, err
	}
	info = append(info, algorithm...)
	info = der.Append(info, asn1.OCTET_STRING, encrypted)
	return der.Wrap(info, 0, asn1.SEQUENCE), nil
}

// readTransport reads the content of a KeyTransRecipientInfo.
func readTransport(info cryptobyte.String) (r recipientInfo, ok bool) {
	var version uint64
	if !info.ReadASN1Integer(&version) {
		return r, false
	}
	if r.name, ok = readName(&info, der.Implicit(0)); !ok {
		return r, false
	}
	ok = readAlgorithm(&info, &r.algorithm, &r.parameters) &&
		info.ReadASN1((*cryptobyte.String)(&r.encrypted), asn1.OCTET_STRING) && info.Empty()
	r.recover = (*recipientInfo).fromTransport
	return r, ok
}

// fromTransport decrypts a key of the given size.
//
// Whether PKCS #1 v1.5 fitted is not to be learnt from here, else the answers to many
// messages decrypt another (Bleichenbacher; RFC 3218, 2.3.2). Software keys return a
// random key where it did not, by themselves and in constant time; other Decrypters may
// ignore that option, so that their errors and sizes become one, too.
func (r *recipientInfo) fromTransport(k *Key, size int, _ bool) (secret, error) {
	var options crypto.DecrypterOpts
	switch r.algorithm {
	case der.OIDRSA:
		if !noParameters(r.parameters) {
			return nil, errEnvelope()
		}
		//lint:ignore SA1019 clients of CMS know nothing else (RFC 3370, 4.2.1)
		options = &rsa.PKCS1v15DecryptOptions{SessionKeyLen: size}
	case der.OIDRSAOAEP:
		oaep, ok := readOAEP(r.parameters)
		if !ok {
			return nil, pki.Errorf(pki.BadKey, "the message's RSAES-OAEP parameters are not supported; supported are SHA-1 and SHA-2 with MGF1, and no label")
		}
		options = oaep
	default:
		return nil, errKeyEncryption(r.algorithm)
	}
	if k.Decrypter == nil {
		return nil, errKeyEncryption(r.algorithm)
	}
	key, err := k.Decrypter.Decrypt(rand.Reader, r.encrypted, options)
	if err != nil {
		return nil, nil // see above
	}
	return key, nil
}

// readOAEP reads RSAES-OAEP-params (RFC 4055, 4.1). What is absent says SHA-1, which is
// as good here as another: nothing rests on its collisions.
func readOAEP(parameters cryptobyte.String) (*rsa.OAEPOptions, bool) {
	content, ok := der.ReadOnly(parameters, asn1.SEQUENCE)
	hash, mask := crypto.SHA1, crypto.SHA1
	ok = ok && readOptional(&content, 0, func(s *cryptobyte.String) bool { return readHash(s, &hash) }) &&
		readOptional(&content, 1, func(s *cryptobyte.String) bool { return readMGF1(s, &mask) }) &&
		content.Empty()
	return &rsa.OAEPOptions{Hash: hash, MGFHash: mask}, ok
}

// errKeyEncryption says that an algorithm of a recipient is not taken.
func errKeyEncryption(oid string) error {
	return pki.Errorf(pki.BadKey, "the message's key is encrypted with the algorithm %.80s, which is not supported, or does not fit the recipient's key", oid)
}
