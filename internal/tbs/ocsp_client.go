package tbs

import (
	"bytes"
	"crypto"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// maxOCSPResponse bounds a response that is read, in bytes.
const maxOCSPResponse = 1 << 20

// AppendCertID appends the DER CertID (RFC 6960, 4.1.1) of a certificate of the
// given issuer. hash is SHA1 or SHA256.
func AppendCertID(dst []byte, hash crypto.Hash, issuer *Parsed, serial pki.Serial) []byte {
	algorithm := hashAlgorithmSHA1
	if hash == crypto.SHA256 {
		algorithm = hashAlgorithmSHA256
	}
	name, key := IssuerHashes(hash, issuer.Subject, issuer.Key)
	start := len(dst)
	dst = append(dst, algorithm...)
	dst = append(dst, asn1Null...)
	dst = der.Wrap(dst, start, asn1.SEQUENCE)
	dst = der.Append(dst, asn1.OCTET_STRING, name)
	dst = der.Append(dst, asn1.OCTET_STRING, key)
	dst = der.AppendUnsigned(dst, serial[:])
	return der.Wrap(dst, start, asn1.SEQUENCE)
}

// AppendOCSPRequest appends the unsigned DER OCSPRequest for CertIDs, with a nonce
// where it is not nil.
func AppendOCSPRequest(dst []byte, ids [][]byte, nonce []byte) []byte {
	start := len(dst)
	for _, id := range ids {
		request := len(dst)
		dst = append(dst, id...)
		dst = der.Wrap(dst, request, asn1.SEQUENCE)
	}
	dst = der.Wrap(dst, start, asn1.SEQUENCE)
	if nonce != nil {
		dst = appendOCSPNonce(dst, 2, nonce)
	}
	dst = der.Wrap(dst, start, asn1.SEQUENCE) // TBSRequest
	return der.Wrap(dst, start, asn1.SEQUENCE)
}

// appendOCSPNonce appends the field [tag] Extensions with a nonce (RFC 9654).
func appendOCSPNonce(dst []byte, tag uint8, nonce []byte) []byte {
	extensions := len(dst)
	dst = append(dst, oidOCSPNonce...)
	value := len(dst)
	dst = der.Append(dst, asn1.OCTET_STRING, nonce)
	dst = closeExtension(dst, extensions, value)
	dst = der.Wrap(dst, extensions, asn1.SEQUENCE)
	return der.Wrap(dst, extensions, der.Explicit(tag))
}

// An OCSPResponse is a parsed OCSPResponse. It shares memory with what it was read
// from.
type OCSPResponse struct {
	Error        OCSPErrorStatus // 0 where it is successful; then the rest is set
	ResponderKey []byte          // the byKey ResponderID; nil where it is by name
	Responder    []byte          // the byName ResponderID, a DER Name
	ProducedAt   time.Time
	Singles      []OCSPSingle
	Nonce        []byte   // nil where absent
	Certificates [][]byte // DER

	data      []byte // DER ResponseData
	algorithm []byte
	signature []byte
}

// ParseOCSPResponse reads a DER OCSPResponse of at most 1 MiB, or says why it is
// Malformed. The signature is not looked at.
func ParseOCSPResponse(response []byte) (*OCSPResponse, error) {
	malformed := func(what string) error {
		return pki.Errorf(pki.Malformed, "the OCSP response's %s not well-formed", what)
	}
	r := new(OCSPResponse)
	var status int
	outer, ok := der.ReadOnly(response, asn1.SEQUENCE)
	if len(response) > maxOCSPResponse || !ok || !outer.ReadASN1Enum(&status) || status < 0 || status > 6 {
		return nil, malformed("outermost fields are")
	}
	if r.Error = OCSPErrorStatus(status); status != 0 {
		if !outer.Empty() {
			return nil, malformed("outermost fields are")
		}
		return r, nil
	}
	var explicit, bytes, basic cryptobyte.String
	if !outer.ReadASN1(&explicit, der.Explicit(0)) || !outer.Empty() || !explicit.ReadASN1(&bytes, asn1.SEQUENCE) || !explicit.Empty() ||
		!bytes.Skip(len(oidOCSPBasic)) || !bytes.ReadASN1(&basic, asn1.OCTET_STRING) || !bytes.Empty() {
		return nil, malformed("outermost fields are")
	}
	content, ok := der.ReadOnly(basic, asn1.SEQUENCE)
	var certificates, list cryptobyte.String
	var has bool
	if !ok || !content.ReadASN1Element((*cryptobyte.String)(&r.data), asn1.SEQUENCE) ||
		!content.ReadASN1Element((*cryptobyte.String)(&r.algorithm), asn1.SEQUENCE) ||
		!content.ReadASN1BitStringAsBytes(&r.signature) ||
		!content.ReadOptionalASN1(&certificates, &has, der.Explicit(0)) || !content.Empty() ||
		has && (!certificates.ReadASN1(&list, asn1.SEQUENCE) || !certificates.Empty()) {
		return nil, malformed("BasicOCSPResponse is")
	}
	for !list.Empty() {
		var certificate cryptobyte.String
		if !list.ReadASN1Element(&certificate, asn1.SEQUENCE) {
			return nil, malformed("certificates are")
		}
		r.Certificates = append(r.Certificates, certificate)
	}
	if !r.readData() {
		return nil, malformed("ResponseData is")
	}
	return r, nil
}

func (r *OCSPResponse) readData() bool {
	data, ok := der.ReadOnly(r.data, asn1.SEQUENCE)
	var id, list, extensions cryptobyte.String
	var extended bool
	switch {
	case !ok || !data.SkipOptionalASN1(der.Explicit(0)): // version
		return false
	case data.PeekASN1Tag(der.Explicit(1)):
		ok = data.ReadASN1(&id, der.Explicit(1))
		r.Responder = id
	default:
		ok = data.ReadASN1(&id, der.Explicit(2)) && id.ReadASN1Bytes(&r.ResponderKey, asn1.OCTET_STRING) && id.Empty()
	}
	if !ok || !readGeneralizedTime(&data, &r.ProducedAt) || !data.ReadASN1(&list, asn1.SEQUENCE) ||
		!data.ReadOptionalASN1(&extensions, &extended, der.Explicit(1)) || !data.Empty() {
		return false
	}
	for !list.Empty() {
		var single OCSPSingle
		if !readOCSPSingle(&list, &single) {
			return false
		}
		r.Singles = append(r.Singles, single)
	}
	if !extended {
		return true
	}
	nonce, err := ocspNonce(extensions)
	r.Nonce = nonce
	return err == nil
}

func readOCSPSingle(list *cryptobyte.String, r *OCSPSingle) bool {
	var single, revoked, reason, next, extensions cryptobyte.String
	var hasReason, hasNext, extended bool
	if !list.ReadASN1(&single, asn1.SEQUENCE) || !single.ReadASN1Element((*cryptobyte.String)(&r.ID), asn1.SEQUENCE) {
		return false
	}
	switch {
	case single.PeekASN1Tag(der.Implicit(0)):
		r.Status = OCSPGood
		if !single.SkipASN1(der.Implicit(0)) {
			return false
		}
	case single.PeekASN1Tag(der.Explicit(1)):
		r.Status = OCSPRevoked
		if !single.ReadASN1(&revoked, der.Explicit(1)) || !readGeneralizedTime(&revoked, &r.RevokedAt) ||
			!revoked.ReadOptionalASN1(&reason, &hasReason, der.Explicit(0)) || !revoked.Empty() {
			return false
		}
		code := 0
		if hasReason && (!reason.ReadASN1Enum(&code) || !reason.Empty() || !validReason(pki.Reason(code))) {
			return false
		}
		r.Reason = pki.Reason(code)
	default:
		r.Status = OCSPUnknown
		if !single.SkipASN1(der.Implicit(2)) {
			return false
		}
	}
	return readGeneralizedTime(&single, &r.ThisUpdate) &&
		single.ReadOptionalASN1(&next, &hasNext, der.Explicit(0)) &&
		(!hasNext || readGeneralizedTime(&next, &r.NextUpdate) && next.Empty()) &&
		single.ReadOptionalASN1(&extensions, &extended, der.Explicit(1)) && single.Empty()
}

func readGeneralizedTime(s *cryptobyte.String, t *time.Time) bool {
	return s.ReadASN1GeneralizedTime(t)
}

// Verify checks that the response is one of the issuer's: signed by itself, or by a
// responder that it delegated with a certificate in force at now (RFC 6960,
// 4.2.2.2), which is returned. Otherwise it is Forbidden, or BadProof.
func (r *OCSPResponse) Verify(issuer *Parsed, now time.Time) (*Parsed, error) {
	alg, err := ParseSignatureAlgorithm(r.algorithm)
	if err != nil {
		return nil, err
	}
	signer, err := r.findSigner(issuer, now)
	if err != nil {
		return nil, err
	}
	if err := signer.Key.Verify(alg, r.data, r.signature); err != nil {
		return nil, pki.Because(pki.BadProof, err, "the OCSP response's signature does not verify")
	}
	return signer, nil
}

func (r *OCSPResponse) findSigner(issuer *Parsed, now time.Time) (*Parsed, error) {
	names := func(p *Parsed) bool {
		if r.ResponderKey != nil {
			return bytes.Equal(r.ResponderKey, p.Key.KeyID())
		}
		return bytes.Equal(r.Responder, p.Subject)
	}
	if names(issuer) {
		return issuer, nil
	}
	for _, certificate := range r.Certificates {
		p, err := ParseCertificate(certificate)
		if err != nil || !names(p) {
			continue
		}
		switch {
		case p.CheckSignedBy(issuer) != nil:
			return nil, pki.Errorf(pki.Forbidden, "the OCSP responder's certificate is not by the issuer")
		case !slices.Contains(p.purposes(), der.OIDOCSPSigning):
			return nil, pki.Errorf(pki.Forbidden, "the OCSP responder's certificate is not for OCSP")
		case now.Before(p.NotBefore) || now.After(p.NotAfter):
			return nil, pki.Errorf(pki.Forbidden, "the OCSP responder's certificate is valid from %s to %s", p.NotBefore.Format(time.RFC3339), p.NotAfter.Format(time.RFC3339))
		}
		return p, nil
	}
	return nil, pki.Errorf(pki.Forbidden, "the OCSP response has no certificate of the responder that it names")
}

// purposes returns the extended key usages.
func (p *Parsed) purposes() (oids []string) {
	e := p.Extension(der.OIDExtendedKeyUsage)
	if e == nil {
		return nil
	}
	list, _ := der.ReadOnly(e.Value, asn1.SEQUENCE)
	for !list.Empty() {
		var oid string
		if !der.ReadOID(&list, &oid) {
			return nil
		}
		oids = append(oids, oid)
	}
	return oids
}
