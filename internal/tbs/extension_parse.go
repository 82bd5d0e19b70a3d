package tbs

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// An Extension is a parsed extension.
type Extension struct {
	OID      string // dotted
	Critical bool
	Value    []byte // DER, the content of extnValue
}

// maxExtensions bounds the extensions of a certificate and a request.
const maxExtensions = 64

// parseExtension reads one DER Extension.
func parseExtension(extension []byte) (Extension, error) {
	s := cryptobyte.String(extension)
	var e Extension
	if !readExtension(&s, &e) || !s.Empty() {
		return e, pki.Errorf(pki.Malformed, "the extension is not well-formed")
	}
	return e, nil
}

func readExtension(s *cryptobyte.String, e *Extension) bool {
	var content cryptobyte.String
	if !s.ReadASN1(&content, asn1.SEQUENCE) || !der.ReadOID(&content, &e.OID) {
		return false
	}
	e.Critical = false
	if content.PeekASN1Tag(asn1.BOOLEAN) {
		// DER leaves the default, FALSE, out (X.690, 11.5).
		if !content.ReadASN1Boolean(&e.Critical) || !e.Critical {
			return false
		}
	}
	return content.ReadASN1Bytes(&e.Value, asn1.OCTET_STRING) && content.Empty()
}

// parseExtensions reads a DER Extensions: a sequence of 1 to 64, none twice.
func parseExtensions(extensions []byte) ([]Extension, error) {
	s, ok := der.ReadOnly(extensions, asn1.SEQUENCE)
	if !ok || s.Empty() {
		return nil, pki.Errorf(pki.Malformed, "the extensions are not a DER sequence of at least one")
	}
	parsed := make([]Extension, 0, 10) // as many as a device certificate has, so that it does not grow
	for !s.Empty() {
		if len(parsed) == maxExtensions {
			return nil, pki.Errorf(pki.Malformed, "there are more than %d extensions", maxExtensions)
		}
		var e Extension
		if !readExtension(&s, &e) {
			return nil, pki.Errorf(pki.Malformed, "extension %d is not well-formed", len(parsed)+1)
		}
		if findExtension(parsed, e.OID) != nil {
			return nil, pki.Errorf(pki.Malformed, "extension %s comes twice", e.OID)
		}
		parsed = append(parsed, e)
	}
	return parsed, nil
}

// findExtension returns the extension with the given identifier, or nil.
func findExtension(extensions []Extension, oid string) *Extension {
	for i := range extensions {
		if extensions[i].OID == oid {
			return &extensions[i]
		}
	}
	return nil
}

// parseBasicConstraints reads the value of basicConstraints (RFC 5280, 4.2.1.9):
// FALSE is left out, and a path length comes only with TRUE. pathLen is -1 where
// there is none.
func parseBasicConstraints(value []byte) (ca bool, pathLen int, ok bool) {
	content, ok := der.ReadOnly(value, asn1.SEQUENCE)
	if !ok || content.Empty() {
		return false, -1, ok
	}
	if !content.ReadASN1Boolean(&ca) || !ca {
		return false, -1, false
	}
	if content.Empty() {
		return true, -1, true
	}
	if !content.ReadASN1Integer(&pathLen) || pathLen < 0 || !content.Empty() {
		return false, -1, false
	}
	return true, pathLen, true
}

// parseSubjectKeyID reads the value of subjectKeyIdentifier (RFC 5280, 4.2.1.2).
func parseSubjectKeyID(value []byte) (id []byte, ok bool) {
	id, ok = der.ReadOnly(value, asn1.OCTET_STRING)
	return id, ok && len(id) > 0
}

// parseAuthorityKeyID reads the value of authorityKeyIdentifier (RFC 5280,
// 4.2.1.1) and returns the keyIdentifier, nil where there is none. The issuer's
// name and serial, which may follow, are skipped.
func parseAuthorityKeyID(value []byte) (id []byte, ok bool) {
	content, ok := der.ReadOnly(value, asn1.SEQUENCE)
	if !ok {
		return nil, false
	}
	if content.PeekASN1Tag(der.Implicit(0)) && (!content.ReadASN1Bytes(&id, der.Implicit(0)) || len(id) == 0) {
		return nil, false
	}
	return id, content.SkipOptionalASN1(der.Explicit(1)) && content.SkipOptionalASN1(der.Implicit(2)) && content.Empty()
}
