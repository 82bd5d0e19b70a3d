package cms

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// An envelope is an EnvelopedData or AuthEnvelopedData that was read.
type envelope struct {
	sealedContent
	contentType string // dotted
	recipients  []recipientInfo
}

// A recipientInfo is one encrypted key, with what of a RecipientInfo it needs (RFC 5652,
// 6.2).
type recipientInfo struct {
	name       name // of no octets where it is for a password
	algorithm  string
	parameters cryptobyte.String
	encrypted  []byte

	originator string            // key agreement: the algorithm of point; "" where it is none
	point      []byte            // key agreement
	ukm        []byte            // key agreement
	derivation cryptobyte.String // password: content of the AlgorithmIdentifier

	// recover returns the content's key, of the given size; nil where k does not
	// decrypt it.
	recover func(r *recipientInfo, k *Key, size int, legacy bool) (secret, error)
}

// parseEnvelope reads an EnvelopedData or an AuthEnvelopedData. Versions, the
// originator's certificates and unprotected attributes are read over.
func parseEnvelope(message []byte) (*envelope, error) {
	content, oid, err := readContentInfo(message, der.OIDEnvelopedData, der.OIDAuthEnvelopedData)
	if err != nil {
		return nil, err
	}
	gcm := oid == der.OIDAuthEnvelopedData
	e := new(envelope)
	var version uint64
	var recipients, encrypted, attributes cryptobyte.String
	var attributed bool
	ok := content.ReadASN1Integer(&version) &&
		content.SkipOptionalASN1(der.Explicit(0)) && // originatorInfo
		content.ReadASN1(&recipients, asn1.SET) &&
		content.ReadASN1(&encrypted, asn1.SEQUENCE) &&
		(!gcm || content.ReadOptionalASN1(&attributes, &attributed, der.Explicit(1)) &&
			content.ReadASN1((*cryptobyte.String)(&e.tag), asn1.OCTET_STRING)) &&
		(!gcm && content.SkipOptionalASN1(der.Explicit(1)) || gcm && content.SkipOptionalASN1(der.Explicit(2))) &&
		content.Empty() && der.ReadOID(&encrypted, &e.contentType)
	if !ok {
		return nil, errEnvelope()
	}
	if err := e.readRecipients(recipients); err != nil {
		return nil, err
	}
	if err := e.readCipher(&encrypted); err != nil {
		return nil, err
	}
	if ciphers[e.cipher].gcm != gcm {
		return nil, pki.Errorf(pki.BadKey, "the message's cipher is not one for its CMS content type")
	}
	if !e.readSealed(&encrypted) || !encrypted.Empty() {
		return nil, errEnvelope()
	}
	return e, e.readAuthenticated(attributes, attributed)
}

// readSealed reads the encryptedContent, which has an implicit tag: in one, or, as BER,
// in pieces.
func (e *envelope) readSealed(s *cryptobyte.String) bool {
	if s.PeekASN1Tag(der.Implicit(0)) {
		return s.ReadASN1((*cryptobyte.String)(&e.sealed), der.Implicit(0))
	}
	var pieces cryptobyte.String
	if !s.ReadASN1(&pieces, der.Explicit(0)) {
		return false
	}
	e.sealed = make([]byte, 0, len(pieces))
	for !pieces.Empty() {
		var piece cryptobyte.String
		if !pieces.ReadASN1(&piece, asn1.OCTET_STRING) {
			return false
		}
		e.sealed = append(e.sealed, piece...)
	}
	return true
}

// readAuthenticated reads the content of authAttrs, which say the content's type where it
// is not id-data (RFC 5083, 2.1).
func (e *envelope) readAuthenticated(attributes cryptobyte.String, there bool) error {
	if !there {
		if ciphers[e.cipher].gcm && e.contentType != der.OIDData {
			return errEnvelope()
		}
		return nil
	}
	e.aad = authenticated(attributes)
	all, ok := readAttributes(attributes)
	contentType := cryptobyte.String(all.Get(der.OIDContentType))
	var oid string
	if !ok || !der.ReadOID(&contentType, &oid) || oid != e.contentType {
		return errEnvelope()
	}
	return nil
}

// readRecipients reads the content of RecipientInfos. Those of kinds that are not
// supported are read over.
func (e *envelope) readRecipients(set cryptobyte.String) error {
	for n := 0; !set.Empty(); n++ {
		if n == maxRecipients || len(e.recipients) >= maxRecipients {
			return pki.Errorf(pki.Malformed, "the message has more than %d recipients", maxRecipients)
		}
		var info cryptobyte.String
		var tag asn1.Tag
		ok := set.ReadAnyASN1(&info, &tag)
		var r recipientInfo
		switch {
		case !ok:
		case tag == asn1.SEQUENCE:
			r, ok = readTransport(info)
			e.recipients = append(e.recipients, r)
		case tag == der.Explicit(1):
			e.recipients, ok = readAgreement(info, e.recipients)
		case tag == der.Explicit(3):
			r, ok = readPassword(info)
			e.recipients = append(e.recipients, r)
		}
		if !ok {
			return pki.Errorf(pki.Malformed, "the message's recipient %d is not well-formed, or there are more than %d", n+1, maxRecipients)
		}
	}
	return nil
}
