package tbs

import (
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// An OCSPStatus is the status of one certificate (RFC 6960, 4.2.1).
type OCSPStatus int

// The statuses; each is the tag of its CertStatus.
const (
	OCSPGood OCSPStatus = iota
	OCSPRevoked
	OCSPUnknown
)

// String returns good, revoked or unknown.
func (s OCSPStatus) String() string {
	switch s {
	case OCSPGood:
		return "good"
	case OCSPRevoked:
		return "revoked"
	}
	return "unknown"
}

// An OCSPSingle is the answer for one CertID. Fractions of a second are cut off of
// its times.
type OCSPSingle struct {
	ID                     []byte // DER CertID
	Status                 OCSPStatus
	RevokedAt              time.Time  // with OCSPRevoked
	Reason                 pki.Reason // with OCSPRevoked; unspecified is not encoded
	ThisUpdate, NextUpdate time.Time  // a zero NextUpdate is left out
}

// AppendResponseData appends the DER ResponseData (RFC 6960, 4.2.1) to be signed.
// The responder is named by its key, as responderKeyID: the SHA-1 hash of the
// subjectPublicKey bits of its certificate, which is PublicKey.KeyID. singles are
// in the order of the request's IDs. nonce is the content of the request's nonce;
// nil leaves it out.
func AppendResponseData(dst []byte, responderKeyID []byte, producedAt time.Time, singles []OCSPSingle, nonce []byte) []byte {
	start := len(dst)
	dst = der.Append(dst, asn1.OCTET_STRING, responderKeyID)
	dst = der.Wrap(dst, start, der.Explicit(2)) // byKey
	dst = der.AppendGeneralizedTime(dst, producedAt)
	responses := len(dst)
	for i := range singles {
		dst = singles[i].append(dst)
	}
	dst = der.Wrap(dst, responses, asn1.SEQUENCE)
	if nonce != nil {
		dst = appendOCSPNonce(dst, 1, nonce)
	}
	return der.Wrap(dst, start, asn1.SEQUENCE)
}

// append appends the SingleResponse.
func (s *OCSPSingle) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, s.ID...)
	switch s.Status {
	case OCSPGood:
		dst = der.AppendHeader(dst, der.Implicit(0), 0)
	case OCSPRevoked:
		revoked := len(dst)
		dst = der.AppendGeneralizedTime(dst, s.RevokedAt)
		if s.Reason != pki.Unspecified {
			reason := len(dst)
			dst = append(dst, byte(asn1.ENUM), 1, byte(s.Reason))
			dst = der.Wrap(dst, reason, der.Explicit(0))
		}
		dst = der.Wrap(dst, revoked, der.Explicit(1)) // implicit, constructed
	default:
		dst = der.AppendHeader(dst, der.Implicit(2), 0)
	}
	dst = der.AppendGeneralizedTime(dst, s.ThisUpdate)
	if !s.NextUpdate.IsZero() {
		next := len(dst)
		dst = der.AppendGeneralizedTime(dst, s.NextUpdate)
		dst = der.Wrap(dst, next, der.Explicit(0))
	}
	return der.Wrap(dst, start, asn1.SEQUENCE)
}

// AppendOCSPResponse appends the whole successful OCSPResponse with a
// BasicOCSPResponse of data, the DER ResponseData, and its signature.
// responderCert is the DER of a delegated responder's certificate; nil leaves it
// out.
func AppendOCSPResponse(dst, data []byte, alg SignatureAlgorithm, signature []byte, responderCert []byte) []byte {
	start := len(dst)
	dst = append(dst, byte(asn1.ENUM), 1, 0) // successful
	bytes := len(dst)
	dst = append(dst, oidOCSPBasic...)
	basic := len(dst)
	dst = append(dst, data...)
	dst = append(dst, alg.DER...)
	dst = der.AppendBitString(dst, signature)
	if responderCert != nil {
		certs := len(dst)
		dst = append(dst, responderCert...)
		dst = der.Wrap(dst, certs, asn1.SEQUENCE)
		dst = der.Wrap(dst, certs, der.Explicit(0))
	}
	dst = der.Wrap(dst, basic, asn1.SEQUENCE)
	dst = der.Wrap(dst, basic, asn1.OCTET_STRING)
	dst = der.Wrap(dst, bytes, asn1.SEQUENCE)
	dst = der.Wrap(dst, bytes, der.Explicit(0))
	return der.Wrap(dst, start, asn1.SEQUENCE)
}

// An OCSPErrorStatus is an OCSPResponseStatus other than successful.
type OCSPErrorStatus byte

// The error statuses (RFC 6960, 4.2.1); sigRequired is never pando's answer.
const (
	OCSPMalformedRequest OCSPErrorStatus = 1
	OCSPInternalError    OCSPErrorStatus = 2
	OCSPTryLater         OCSPErrorStatus = 3
	OCSPUnauthorized     OCSPErrorStatus = 6
)

// OCSPError returns an unsigned error response.
func OCSPError(status OCSPErrorStatus) []byte {
	return []byte{byte(asn1.SEQUENCE), 3, byte(asn1.ENUM), 1, byte(status)}
}

var (
	oidOCSPBasic = der.MustOID(der.OIDOCSPBasic)
	oidOCSPNonce = der.MustOID(der.OIDOCSPNonce)
)
