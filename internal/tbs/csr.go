package tbs

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// MaxCSR is the largest request that is read, in bytes of DER.
const MaxCSR = 64 << 10

// maxAttributes bounds the attributes of a request.
const maxAttributes = 64

// A CSR is a parsed certification request (PKCS #10, RFC 2986). It shares memory
// with the bytes that it was parsed from.
type CSR struct {
	Raw, TBS   []byte // CertificationRequest, CertificationRequestInfo
	SubjectDER []byte // Name
	Subject    Name
	Key        PublicKey
	Names      []GeneralName // requested subjectAltName
	Extensions []Extension   // all requested, also the SAN
	Unread     []string      // OIDs of the attributes that are skipped
	Algorithm  []byte        // DER AlgorithmIdentifier of the signature
	Signature  []byte
}

// ParseCSR reads a DER request strictly, and a second time with crypto/x509:
// where the two disagree on subject, key, names or signature, or one refuses, it
// is Malformed. A key that ParsePublicKey refuses is BadKey. Attributes other
// than extensionRequest are skipped.
//
// A request has at most MaxCSR bytes, 64 attributes, 64 extensions and 100 names.
// request must not change as long as the CSR or its key is used.
func ParseCSR(request []byte) (*CSR, error) {
	c, err := parseCSR(request)
	if err != nil {
		return nil, err
	}
	if err := c.compareWithX509(); err != nil {
		return nil, err
	}
	return c, nil
}

// parseCSR is ParseCSR without the second parser.
func parseCSR(request []byte) (*CSR, error) {
	if len(request) > MaxCSR {
		return nil, pki.Errorf(pki.Malformed, "the request has %d bytes; it has at most %d", len(request), MaxCSR)
	}
	c := &CSR{Raw: request}
	if err := c.parse(); err != nil {
		return nil, err
	}
	return c, nil
}

// CheckProof checks the request's signature by its own key, the proof of
// possession: BadProof where it does not verify or its algorithm is none of
// ParseSignatureAlgorithm's.
func (c *CSR) CheckProof() error {
	alg, err := ParseSignatureAlgorithm(c.Algorithm)
	if err != nil {
		return err
	}
	if err := c.Key.Verify(alg, c.TBS, c.Signature); err != nil {
		return pki.Because(pki.BadProof, err, "the request's signature does not verify with its own key")
	}
	return nil
}

// parse reads c.Raw: the CertificationRequest of RFC 2986, 4.2.
func (c *CSR) parse() error {
	request, ok := der.ReadOnly(c.Raw, asn1.SEQUENCE)
	if !ok || !request.ReadASN1Element((*cryptobyte.String)(&c.TBS), asn1.SEQUENCE) ||
		!request.ReadASN1Element((*cryptobyte.String)(&c.Algorithm), asn1.SEQUENCE) ||
		!request.ReadASN1BitStringAsBytes(&c.Signature) || !request.Empty() {
		return pki.Errorf(pki.Malformed, "the request is not a well-formed DER CertificationRequest")
	}
	if !isAlgorithm(c.Algorithm) {
		return pki.Errorf(pki.Malformed, "the request's signature algorithm is not well-formed")
	}
	return c.parseInfo()
}

// parseInfo reads c.TBS: the CertificationRequestInfo of RFC 2986, 4.1.
func (c *CSR) parseInfo() error {
	info, _ := der.ReadOnly(c.TBS, asn1.SEQUENCE)
	var version uint
	if !info.ReadASN1Integer(&version) || version != 0 {
		return pki.Errorf(pki.Malformed, "the request's version is not v1")
	}
	var spki, attributes cryptobyte.String
	if !info.ReadASN1Element((*cryptobyte.String)(&c.SubjectDER), asn1.SEQUENCE) ||
		!info.ReadASN1Element(&spki, asn1.SEQUENCE) ||
		!info.ReadASN1(&attributes, der.Explicit(0)) || !info.Empty() {
		return pki.Errorf(pki.Malformed, "the request is not a version, a subject, a public key and attributes")
	}
	var err error
	if c.Subject, err = ParseName(c.SubjectDER); err != nil {
		return err
	}
	if c.Key, err = ParsePublicKey(spki); err != nil {
		return err
	}
	return c.parseAttributes(attributes)
}

func (c *CSR) parseAttributes(attributes cryptobyte.String) error {
	for n := 1; !attributes.Empty(); n++ {
		var attribute, values cryptobyte.String
		var oid string
		if n > maxAttributes {
			return pki.Errorf(pki.Malformed, "the request has more than %d attributes", maxAttributes)
		}
		if !attributes.ReadASN1(&attribute, asn1.SEQUENCE) || !der.ReadOID(&attribute, &oid) ||
			!attribute.ReadASN1(&values, asn1.SET) || !attribute.Empty() {
			return pki.Errorf(pki.Malformed, "the request's attribute %d is not well-formed", n)
		}
		if oid != der.OIDExtensionRequest {
			c.Unread = append(c.Unread, oid)
			continue
		}
		if c.Extensions != nil {
			return pki.Errorf(pki.Malformed, "the request has more than one extensionRequest")
		}
		var err error
		// The attribute is single-valued (RFC 2985, 5.4.2): the set is read whole.
		if c.Extensions, err = parseExtensions(values); err != nil {
			return err
		}
	}
	if san := findExtension(c.Extensions, der.OIDSubjectAltName); san != nil {
		var err error
		if c.Names, err = ParseGeneralNames(san.Value); err != nil {
			return err
		}
	}
	return nil
}

// isAlgorithm reports whether the element is an AlgorithmIdentifier: an object
// identifier with at most one parameter.
func isAlgorithm(element []byte) bool {
	s, ok := der.ReadOnly(element, asn1.SEQUENCE)
	var oid string
	if !ok || !der.ReadOID(&s, &oid) {
		return false
	}
	var parameter cryptobyte.String
	var tag asn1.Tag
	return s.Empty() || s.ReadAnyASN1(&parameter, &tag) && s.Empty()
}

// AppendCSR appends the CertificationRequestInfo for subject (DER Name), key and
// names (DER GeneralNames, nil for none), to be signed under key and made a
// request by AppendSigned.
func AppendCSR(dst []byte, subject []byte, key PublicKey, names []byte) []byte {
	start := len(dst)
	dst = der.AppendInteger(dst, 0)
	dst = append(dst, subject...)
	dst = append(dst, key.SPKI()...)
	attributes := len(dst)
	if names != nil {
		dst = append(dst, der.MustOID(der.OIDExtensionRequest)...)
		values := len(dst)
		dst, value := openExtension(dst, der.MustOID(der.OIDSubjectAltName), false)
		dst = append(dst, names...)
		dst = closeExtension(dst, values, value)
		dst = der.Wrap(dst, values, asn1.SEQUENCE) // Extensions
		dst = der.Wrap(dst, values, asn1.SET)
		dst = der.Wrap(dst, attributes, asn1.SEQUENCE) // Attribute
		dst = der.Wrap(dst, attributes, der.Explicit(0))
		return der.Wrap(dst, start, asn1.SEQUENCE)
	}
	dst = der.AppendHeader(dst, der.Explicit(0), 0)
	return der.Wrap(dst, start, asn1.SEQUENCE)
}
