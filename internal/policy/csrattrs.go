package policy

import (
	"slices"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// RequestAttributes returns what a request must have, as DER CsrAttrs (RFC 8951, 4):
// the list of RFC 7030, 4.5.2, with the template of RFC 9908 at its end, which clients
// that know it read alone; nil where the profile asks for nothing. It tells what is read
// from requests, and not what the certificate will have besides: that is not a client's to
// ask for. What an expression takes from a request it does not tell, nor what is optional.
func (p *Profile) RequestAttributes() []byte {
	subject, names := p.requestedSubject(), p.requestsNames()
	key := p.requestedKey()
	var list []byte
	if p.bound {
		list = der.MustOID(der.OIDChallengePassword)
	}
	for _, oid := range subject {
		list = append(list, der.MustOID(oid)...)
	}
	if names {
		list = append(list, der.MustOID(der.OIDSubjectAltName)...)
	}
	if key != nil {
		list = append(list, key.listed()...)
	}
	if list == nil {
		return nil
	}
	list = append(list, attributeOf(der.OIDRequestTemplate, requestTemplate(subject, names, key))...)
	return der.Append(nil, asn1.SEQUENCE, list)
}

// attributeOf returns an Attribute with one value (RFC 2986, 4.1).
func attributeOf(oid string, value []byte) []byte {
	return der.Append(nil, asn1.SEQUENCE, der.Append(der.MustOID(oid), asn1.SET, value))
}

// requestTemplate returns a CertificationRequestInfoTemplate (RFC 9908, 3.4): a part that
// is there is wanted, and where it has no value the client gives it.
func requestTemplate(subject []string, names bool, key *requestedKey) []byte {
	info := der.AppendInteger(nil, 0)
	if len(subject) > 0 {
		var rdns []byte
		for _, oid := range subject {
			rdns = der.Append(rdns, asn1.SET, der.Append(nil, asn1.SEQUENCE, der.MustOID(oid)))
		}
		info = der.Append(info, asn1.SEQUENCE, rdns)
	}
	if key != nil {
		info = der.Append(info, der.Explicit(0), key.info())
	}
	var attributes []byte
	if names {
		extension := der.Append(nil, asn1.SEQUENCE, der.MustOID(der.OIDSubjectAltName))
		attributes = attributeOf(der.OIDExtensionRequestTemplate, der.Append(nil, asn1.SEQUENCE, extension))
	}
	info = der.Append(info, der.Explicit(1), attributes)
	return der.Append(nil, asn1.SEQUENCE, info)
}

// requestedSubject returns the types of the subject's attributes that the profile, or the
// registry for the device's id, reads from requests and cannot do without.
func (p *Profile) requestedSubject() []string {
	var types []string
	for i := range p.subject {
		v := &p.subject[i].value
		oid := map[string]string{"csr.subject.cn": der.OIDCommonName, "csr.subject.serialNumber": der.OIDSerialNumber}[v.from.written]
		if oid != "" && !v.optional && !slices.Contains(types, oid) {
			types = append(types, oid)
		}
	}
	if p.needsDevice && len(types) == 0 { // see enroll: it names the device
		types = append(types, der.OIDSerialNumber)
	}
	return types
}

// requestsNames reports whether a request has a subjectAltName in any case: the profile
// wants one, and takes names from nowhere else.
func (p *Profile) requestsNames() bool {
	return p.sanRequired && !slices.ContainsFunc(p.san, func(r sanRule) bool { return r.from.kind == "" })
}

// A requestedKey is the one algorithm that a profile allows.
type requestedKey struct {
	algorithm string // OID
	parameter string // OID of a curve; "" is none
	bits      int    // of RSA; 0 is any
}

var keyAlgorithms = map[pki.KeyKind]requestedKey{
	pki.P256:    {algorithm: der.OIDECPublicKey, parameter: der.OIDP256},
	pki.P384:    {algorithm: der.OIDECPublicKey, parameter: der.OIDP384},
	pki.P521:    {algorithm: der.OIDECPublicKey, parameter: der.OIDP521},
	pki.Ed25519: {algorithm: der.OIDEd25519},
	pki.MLDSA44: {algorithm: der.OIDMLDSA44},
	pki.MLDSA65: {algorithm: der.OIDMLDSA65},
	pki.MLDSA87: {algorithm: der.OIDMLDSA87},
}

// requestedKey returns the key that a request has in any case; nil where it may be one of
// several, which neither form can say: a client that has another of them would go away.
func (p *Profile) requestedKey() *requestedKey {
	kinds := p.keys.kinds
	switch {
	case p.keys.minRSA > 0 && !slices.ContainsFunc(kinds, func(k pki.KeyKind) bool { return !isRSA(k) }):
		return &requestedKey{algorithm: der.OIDRSA}
	case len(kinds) > 1:
		return nil
	case rsaBits(kinds[0]) > 0:
		return &requestedKey{algorithm: der.OIDRSA, bits: rsaBits(kinds[0])}
	}
	key, ok := keyAlgorithms[kinds[0]]
	if !ok {
		return nil
	}
	return &key
}

// listed returns the key as an AttrOrOID: its algorithm, with its curve or its size
// (RFC 7030, 4.5.2).
func (k *requestedKey) listed() []byte {
	switch {
	case k.parameter != "":
		return attributeOf(k.algorithm, der.MustOID(k.parameter))
	case k.bits > 0:
		return attributeOf(k.algorithm, der.AppendInteger(nil, uint64(k.bits)))
	}
	return der.MustOID(k.algorithm)
}

// info returns the content of a SubjectPublicKeyInfoTemplate: where RSA is of one size a
// number of that size stands for the key (RFC 9908, 3.4).
func (k *requestedKey) info() []byte {
	algorithm := der.MustOID(k.algorithm)
	switch {
	case k.parameter != "":
		algorithm = append(algorithm, der.MustOID(k.parameter)...)
	case k.algorithm == der.OIDRSA:
		algorithm = append(algorithm, 0x05, 0x00) // RFC 3279, 2.3.1
	}
	info := der.Append(nil, asn1.SEQUENCE, algorithm)
	if k.bits == 0 {
		return info
	}
	modulus := make([]byte, k.bits/8)
	modulus[0], modulus[len(modulus)-1] = 0x80, 1
	key := der.AppendUnsigned(nil, modulus)
	key = der.AppendInteger(key, 65537)
	return der.AppendBitString(info, der.Append(nil, asn1.SEQUENCE, key))
}
