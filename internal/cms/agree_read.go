package cms

import (
	"crypto"
	"crypto/ecdh"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
)

// readAgreement reads the content of a KeyAgreeRecipientInfo: one recipientInfo for each
// of its encrypted keys. Originators that are named by a certificate have static keys,
// which are not supported: such keys cannot be recovered.
func readAgreement(info cryptobyte.String, all []recipientInfo) ([]recipientInfo, bool) {
	r := recipientInfo{recover: (*recipientInfo).fromAgreement}
	var version uint64
	var originator, ukm, keys cryptobyte.String
	var there bool
	ok := info.ReadASN1Integer(&version) &&
		info.ReadASN1(&originator, der.Explicit(0)) &&
		info.ReadOptionalASN1(&ukm, &there, der.Explicit(1)) &&
		(!there || ukm.ReadASN1((*cryptobyte.String)(&r.ukm), asn1.OCTET_STRING) && ukm.Empty()) &&
		readAlgorithm(&info, &r.algorithm, &r.parameters) &&
		info.ReadASN1(&keys, asn1.SEQUENCE) && info.Empty() && !keys.Empty()
	if !ok {
		return nil, false
	}
	if originator.PeekASN1Tag(der.Explicit(1)) {
		var key cryptobyte.String
		var parameters cryptobyte.String
		ok = originator.ReadASN1(&key, der.Explicit(1)) && originator.Empty() &&
			readAlgorithm(&key, &r.originator, &parameters) && key.ReadASN1BitStringAsBytes(&r.point) && key.Empty()
	}
	for ok && !keys.Empty() {
		var one cryptobyte.String
		ok = len(all) < maxRecipients && keys.ReadASN1(&one, asn1.SEQUENCE)
		if ok {
			r.name, ok = readAgreementName(&one)
		}
		ok = ok && one.ReadASN1((*cryptobyte.String)(&r.encrypted), asn1.OCTET_STRING) && one.Empty()
		all = append(all, r)
	}
	return all, ok
}

// readAgreementName reads a KeyAgreeRecipientIdentifier (RFC 5652, 6.2.2).
func readAgreementName(s *cryptobyte.String) (n name, ok bool) {
	if !s.PeekASN1Tag(der.Explicit(0)) {
		return readName(s, der.Explicit(0))
	}
	var identifier cryptobyte.String // with a date and others, which are read over
	ok = s.ReadASN1(&identifier, der.Explicit(0)) &&
		identifier.ReadASN1((*cryptobyte.String)(&n.keyID), asn1.OCTET_STRING) && len(n.keyID) > 0
	return n, ok
}

// fromAgreement unwraps a key of the given size.
func (r *recipientInfo) fromAgreement(k *Key, size int, legacy bool) (secret, error) {
	var hash crypto.Hash
	for _, a := range agreements {
		if a.oid == r.algorithm && (legacy || a.hash != crypto.SHA1) {
			hash = a.hash
		}
	}
	p, ok := readParty(k.Certificate)
	pub := agreementKey(p.spki)
	var wrap string
	var parameters cryptobyte.String
	identifier := r.parameters
	ok = ok && readAlgorithm(&identifier, &wrap, &parameters) && len(parameters) == 0
	originator := der.OIDECPublicKey
	if pub != nil && pub.Curve() == ecdh.X25519() {
		originator = der.OIDX25519
	}
	if !ok || hash == 0 || wraps[wrap] == 0 || pub == nil || k.Agreer == nil || r.originator != originator {
		return nil, errKeyEncryption(r.algorithm)
	}
	remote, err := pub.Curve().NewPublicKey(r.point)
	if err != nil {
		return nil, nil
	}
	z, err := k.Agreer.ECDH(remote)
	if err != nil {
		return nil, nil
	}
	kek := deriveX963(hash, z, r.parameters, r.ukm, wraps[wrap])
	defer clear(kek)
	return unwrapKey(kek, r.encrypted, size), nil
}
