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

func ParsePublicKey(spki []byte) (PublicKey, error)        { panic("unwritten") } // BadKey; point on curve, RSA sane (2 prime-independent checks: odd modulus, e odd >=3)
func NewPublicKey(pub crypto.PublicKey) (PublicKey, error) { panic("unwritten") }

// Sign signs message with key under key's own algorithm (hashing where it hashes).
func Sign(key crypto.Signer, alg SignatureAlgorithm, message []byte) ([]byte, error) {
	panic("unwritten")
}

// --- names

type StringType int

const (
	UTF8String StringType = iota
	PrintableString
	IA5String
)

type Attribute struct {
	OID   string // dotted
	Type  StringType
	Value string
}
type Name []Attribute // one attribute an RDN, in order

func (n Name) Append(dst []byte) ([]byte, error) { panic("unwritten") } // DER Name; upper bounds of RFC 5280 A.1 refused
func (n Name) Get(oid string) string             { panic("unwritten") } // first value or ""
func ParseName(der []byte) (Name, error)         { panic("unwritten") } // multi-valued RDNs are refused as Malformed
func (n Name) String() string                    { panic("unwritten") } // RFC 4514

// --- general names

type GeneralNameKind int

const (
	DNSName GeneralNameKind = iota
	IPAddress
	URI
	Email
	HardwareModuleName // otherName 1.3.6.1.5.5.7.8.4: SEQUENCE{hwType OID, hwSerialNum OCTET STRING}
	OtherGeneralName   // anything else: DER holds it whole
)

type GeneralName struct {
	Kind     GeneralNameKind
	Text     string // dNSName, iPAddress (textual), uniformResourceIdentifier, rfc822Name
	HWType   string // dotted
	HWSerial []byte
	DER      []byte
}

func AppendGeneralNames(dst []byte, names []GeneralName) ([]byte, error) { panic("unwritten") } // SEQUENCE OF GeneralName
func ParseGeneralNames(der []byte) ([]GeneralName, error)                { panic("unwritten") } // at most 100 names

// --- certificates

type Slot int

const (
	Constant Slot = iota // DER is the whole Extension
	SlotSKI
	SlotSAN
	SlotKeyUsage
	SlotCRLDP // URL list precomputed by shard
)

type ExtensionPart struct {
	Slot     Slot
	Critical bool   // of a slot; a SAN is critical also where the subject is empty
	DER      []byte // Constant: Extension ::= SEQUENCE
}

type TemplateConfig struct {
	IssuerName []byte // DER Name
	Algorithm  SignatureAlgorithm
	Parts      []ExtensionPart // in order of encoding
	CRLDP      []string        // URL of each shard, used by SlotCRLDP
}

type Template struct{ cfg TemplateConfig }

func NewTemplate(cfg TemplateConfig) (*Template, error) { panic("unwritten") }

type KeyUsage uint16 // bit i is bit i of RFC 5280 KeyUsage

const (
	DigitalSignature KeyUsage = 1 << iota
	ContentCommitment
	KeyEncipherment
	DataEncipherment
	KeyAgreement
	KeyCertSign
	CRLSign
	EncipherOnly
	DecipherOnly
)

type Content struct {
	Serial    pki.Serial
	NotBefore time.Time // whole seconds
	NotAfter  time.Time // inclusive
	Subject   []byte    // DER Name
	Key       PublicKey
	SAN       []byte // DER GeneralNames; nil leaves the extension out
	KeyUsage  KeyUsage
}

// Append appends the DER TBSCertificate.
func (t *Template) Append(dst []byte, c *Content) ([]byte, error) { panic("unwritten") }

// AppendSigned appends SEQUENCE{tbs, algorithm, BIT STRING signature}: a certificate, CRL or request.
func AppendSigned(dst, tbs []byte, alg SignatureAlgorithm, signature []byte) []byte {
	panic("unwritten")
}

// Extension encoders: each returns the whole Extension.
func BasicConstraints(ca bool, pathLen int) []byte                         { panic("unwritten") } // pathLen -1: none
func ExtendedKeyUsage(critical bool, oids ...string) ([]byte, error)       { panic("unwritten") }
func CertificatePolicies(oids ...string) ([]byte, error)                   { panic("unwritten") }
func AuthorityKeyID(id []byte) []byte                                      { panic("unwritten") }
func AuthorityInfoAccess(ocsp, caIssuers string) []byte                    { panic("unwritten") } // either may be ""
func OCSPNoCheck() []byte                                                  { panic("unwritten") }
func RawExtension(oid string, critical bool, value []byte) ([]byte, error) { panic("unwritten") }

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
type Extension struct {
	OID      string
	Critical bool
	Value    []byte
}

func ParseTBS(der []byte) (*Parsed, error)         { panic("unwritten") }
func ParseCertificate(der []byte) (*Parsed, error) { panic("unwritten") }
func (p *Parsed) Extension(oid string) *Extension  { panic("unwritten") }
func (p *Parsed) SubjectKeyID() []byte             { panic("unwritten") } // the SKI extension's, else KeyID of the key
func (p *Parsed) IsCA() (ca bool, pathLen int)     { panic("unwritten") } // -1: no limit
func (p *Parsed) KeyUsage() KeyUsage               { panic("unwritten") }

// CheckSignedBy checks the signature, names and CA bits against the issuer.
func (p *Parsed) CheckSignedBy(issuer *Parsed) error { panic("unwritten") }

// --- requests (PKCS #10, RFC 2986)

const MaxCSR = 64 << 10

type CSR struct {
	Raw, TBS   []byte
	SubjectDER []byte
	Subject    Name
	Key        PublicKey
	Names      []GeneralName // requested subjectAltName
	Extensions []Extension   // all requested, also the SAN
	Algorithm  []byte
	Signature  []byte
}

// ParseCSR reads a request strictly, and a second time with crypto/x509: where
// the two disagree on subject, key or names, or one refuses, it is Malformed.
func ParseCSR(der []byte) (*CSR, error) { panic("unwritten") }

// CheckProof checks the request's own signature: BadProof.
func (c *CSR) CheckProof() error { panic("unwritten") }

// AppendCSR appends the CertificationRequestInfo for subject, key and names (may be nil).
func AppendCSR(dst []byte, subject []byte, key PublicKey, names []byte) []byte { panic("unwritten") }

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
