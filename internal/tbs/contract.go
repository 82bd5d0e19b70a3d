package tbs

// This file is the agreed interface of the package while it is being written;
// the bodies move to files named after what they encode.

import (
	"crypto"
	"io"
	"iter"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// Parsed is a strictly parsed TBSCertificate or Certificate, for lint, hierarchy and chains.
type Parsed struct {
	Raw, TBS            []byte // Raw is nil when only a TBSCertificate was parsed
	Serial              pki.Serial
	Algorithm           []byte // DER AlgorithmIdentifier
	Issuer, Subject     []byte // DER Name
	NotBefore, NotAfter time.Time
	Key                 PublicKey
	Extensions          []Extension
	Signature           []byte
}

func ParseTBS(der []byte) (*Parsed, error)         { panic("unwritten") }
func ParseCertificate(der []byte) (*Parsed, error) { panic("unwritten") }
func (p *Parsed) Extension(oid string) *Extension  { panic("unwritten") }
func (p *Parsed) SubjectKeyID() []byte             { panic("unwritten") } // the SKI extension's, else KeyID of the key
func (p *Parsed) IsCA() (ca bool, pathLen int)     { panic("unwritten") } // -1: no limit
func (p *Parsed) KeyUsage() KeyUsage               { panic("unwritten") }

// CheckSignedBy checks the signature, names and CA bits against the issuer.
func (p *Parsed) CheckSignedBy(issuer *Parsed) error { panic("unwritten") }

// --- CRLs

type CRLInfo struct {
	Issuer      []byte // DER Name
	IssuerKeyID []byte
	Algorithm   SignatureAlgorithm
	Number      int64
	ThisUpdate  time.Time
	NextUpdate  time.Time
	URL         string // of the IssuingDistributionPoint, critical; "" leaves IDP out
}
type CRLEntry struct {
	Serial pki.Serial
	At     time.Time
	Reason pki.Reason // unspecified is not encoded
}

// WriteTBSCertList writes the DER TBSCertList. entries is ranged over twice and must yield the same both times.
func WriteTBSCertList(w io.Writer, info *CRLInfo, entries iter.Seq[CRLEntry]) error {
	panic("unwritten")
}

// SizeTBSCertList returns how many bytes WriteTBSCertList writes.
func SizeTBSCertList(info *CRLInfo, entries iter.Seq[CRLEntry]) (int64, error) { panic("unwritten") }

// --- OCSP (RFC 6960, 9654)

type CertID struct {
	Hash     crypto.Hash // SHA1 or SHA256
	NameHash []byte
	KeyHash  []byte
	Serial   pki.Serial
	Raw      []byte // DER CertID as it came
}
type OCSPRequest struct {
	IDs   []CertID // 1 to 32
	Nonce []byte   // content of the nonce; nil where absent; 1 to 128 octets
}

func ParseOCSPRequest(der []byte) (*OCSPRequest, error) { panic("unwritten") }

type OCSPStatus int

const (
	OCSPGood OCSPStatus = iota
	OCSPRevoked
	OCSPUnknown
)

type OCSPSingle struct {
	ID                     []byte // DER CertID
	Status                 OCSPStatus
	RevokedAt              time.Time
	Reason                 pki.Reason
	ThisUpdate, NextUpdate time.Time
}

// AppendResponseData appends the ResponseData to be signed, responder by key hash.
func AppendResponseData(dst []byte, responderKeyID []byte, producedAt time.Time, singles []OCSPSingle, nonce []byte) []byte {
	panic("unwritten")
}

// AppendOCSPResponse appends the whole successful OCSPResponse.
func AppendOCSPResponse(dst, data []byte, alg SignatureAlgorithm, signature []byte, responderCert []byte) []byte {
	panic("unwritten")
}

// OCSPError returns an unsigned error response.
func OCSPError(status OCSPErrorStatus) []byte { panic("unwritten") }

type OCSPErrorStatus byte

const (
	OCSPMalformedRequest OCSPErrorStatus = 1
	OCSPInternalError    OCSPErrorStatus = 2
	OCSPTryLater         OCSPErrorStatus = 3
	OCSPUnauthorized     OCSPErrorStatus = 6
)
