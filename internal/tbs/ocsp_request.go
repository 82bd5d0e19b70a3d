package tbs

import (
	"crypto"
	"crypto/sha256"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// The bounds on OCSP requests.
const (
	maxOCSPRequest = 64 << 10 // bytes
	maxOCSPIDs     = 32
	maxOCSPNonce   = 128 // octets (RFC 9654, 2.1)
)

// A CertID names the certificate whose status is asked for (RFC 6960, 4.1.1). It
// shares memory with the request.
type CertID struct {
	Hash     crypto.Hash // SHA1 or SHA256
	NameHash []byte      // of the issuer's DER Name
	KeyHash  []byte      // of the issuer's subjectPublicKey bits
	Serial   pki.Serial
	Raw      []byte // DER CertID as it came
}

// An OCSPRequest is a parsed OCSPRequest.
type OCSPRequest struct {
	IDs   []CertID // 1 to 32
	Nonce []byte   // content of the nonce; nil where absent; 1 to 128 octets
}

// ParseOCSPRequest reads a DER OCSPRequest of at most 64 KiB (RFC 6960, 4.1.1). A
// requestor's name and a signature are skipped and not verified; so are extensions
// other than the nonce, unless they are critical. Anything else is Malformed, also
// a CertID with a hash algorithm other than SHA-1 and SHA-256.
func ParseOCSPRequest(request []byte) (*OCSPRequest, error) {
	if len(request) > maxOCSPRequest {
		return nil, pki.Errorf(pki.Malformed, "the OCSP request has %d bytes; it has at most %d", len(request), maxOCSPRequest)
	}
	s, ok := der.ReadOnly(request, asn1.SEQUENCE)
	var tbs cryptobyte.String
	if !ok || !s.ReadASN1(&tbs, asn1.SEQUENCE) || !s.SkipOptionalASN1(der.Explicit(0)) || !s.Empty() {
		return nil, pki.Errorf(pki.Malformed, "the OCSP request is not well-formed")
	}
	var version int
	var list, extensions cryptobyte.String
	var extended bool
	if !tbs.ReadOptionalASN1Integer(&version, der.Explicit(0), 0) || version != 0 ||
		!tbs.SkipOptionalASN1(der.Explicit(1)) ||
		!tbs.ReadASN1(&list, asn1.SEQUENCE) ||
		!tbs.ReadOptionalASN1(&extensions, &extended, der.Explicit(2)) || !tbs.Empty() {
		return nil, pki.Errorf(pki.Malformed, "the OCSP request's fields are not well-formed")
	}
	r := new(OCSPRequest)
	for !list.Empty() {
		if len(r.IDs) == maxOCSPIDs {
			return nil, pki.Errorf(pki.Malformed, "the OCSP request asks for more than %d certificates", maxOCSPIDs)
		}
		id, err := readSingleRequest(&list)
		if err != nil {
			return nil, err
		}
		r.IDs = append(r.IDs, id)
	}
	if len(r.IDs) == 0 {
		return nil, pki.Errorf(pki.Malformed, "the OCSP request asks for no certificate")
	}
	if extended {
		var err error
		if r.Nonce, err = ocspNonce(extensions); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// readSingleRequest reads one Request of a requestList.
func readSingleRequest(list *cryptobyte.String) (CertID, error) {
	var id CertID
	var request, content, extensions cryptobyte.String
	var extended bool
	if !list.ReadASN1(&request, asn1.SEQUENCE) ||
		!request.ReadASN1Element((*cryptobyte.String)(&id.Raw), asn1.SEQUENCE) ||
		!request.ReadOptionalASN1(&extensions, &extended, der.Explicit(0)) || !request.Empty() {
		return id, pki.Errorf(pki.Malformed, "the OCSP request has a single request that is not well-formed")
	}
	if extended {
		if _, err := ocspNonce(extensions); err != nil {
			return id, err
		}
	}
	content, _ = der.ReadOnly(id.Raw, asn1.SEQUENCE)
	var algorithm cryptobyte.String
	if !content.ReadASN1(&algorithm, asn1.SEQUENCE) ||
		!content.ReadASN1Bytes(&id.NameHash, asn1.OCTET_STRING) ||
		!content.ReadASN1Bytes(&id.KeyHash, asn1.OCTET_STRING) ||
		!readSerial(&content, &id.Serial) || !content.Empty() {
		return id, pki.Errorf(pki.Malformed, "the OCSP request has a CertID that is not well-formed")
	}
	switch string(algorithm) {
	case hashAlgorithmSHA1, hashAlgorithmSHA1 + asn1Null:
		id.Hash = crypto.SHA1
	case hashAlgorithmSHA256, hashAlgorithmSHA256 + asn1Null:
		id.Hash = crypto.SHA256
	default:
		return id, pki.Errorf(pki.Malformed, "the OCSP request has a CertID by a hash that is neither SHA-1 nor SHA-256")
	}
	if len(id.NameHash) != id.Hash.Size() || len(id.KeyHash) != id.Hash.Size() {
		return id, pki.Errorf(pki.Malformed, "the OCSP request has a CertID whose hashes are not as long as those of its algorithm")
	}
	return id, nil
}

// ocspNonce reads the extensions of a request and returns the nonce's content, or
// nil.
func ocspNonce(extensions []byte) ([]byte, error) {
	parsed, err := parseExtensions(extensions)
	if err != nil {
		return nil, err
	}
	var nonce []byte
	for _, e := range parsed {
		if e.OID == der.OIDOCSPNonce {
			content, ok := der.ReadOnly(e.Value, asn1.OCTET_STRING)
			if !ok || len(content) == 0 || len(content) > maxOCSPNonce {
				return nil, pki.Errorf(pki.Malformed, "the OCSP request's nonce is not an OCTET STRING of 1 to %d octets", maxOCSPNonce)
			}
			nonce = content
		} else if e.Critical { // RFC 6960, 4.4
			return nil, pki.Errorf(pki.Malformed, "the OCSP request's critical extension %s is not known", e.OID)
		}
	}
	return nonce, nil
}

// The content octets of the AlgorithmIdentifier of the hashes, with absent
// parameters; NULL is as common.
var (
	hashAlgorithmSHA1   = string(der.MustOID(der.OIDSHA1))
	hashAlgorithmSHA256 = string(der.MustOID(der.OIDSHA256))
)

// IssuerHashes returns the hashes by which a CertID names an issuer with the given
// DER Name and key. hash is SHA1 or SHA256; the caller must not change the result.
func IssuerHashes(hash crypto.Hash, name []byte, key PublicKey) (nameHash, keyHash []byte) {
	if hash == crypto.SHA1 {
		n := identifier(name)
		return n[:], key.KeyID()
	}
	var bits []byte
	info, _ := der.ReadOnly(key.SPKI(), asn1.SEQUENCE)
	info.SkipASN1(asn1.SEQUENCE)
	info.ReadASN1BitStringAsBytes(&bits)
	n, k := sha256.Sum256(name), sha256.Sum256(bits)
	return n[:], k[:]
}
