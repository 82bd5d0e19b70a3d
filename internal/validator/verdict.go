package validator

import (
	"strings"
	"unicode"

	"github.com/pando-pki/pando/internal/pki"
)

// success is the one code that is yes.
const success = "Success"

// kinds are what the codes of a validator that say no become here. A code that is not among
// them is no, as what the proof is worth: Unauthenticated.
var kinds = map[string]pki.Kind{
	"CertificateRequestDecodingFailed": pki.Unauthenticated,
	"ChallengePasswordMissing":         pki.Unauthenticated,
	"ChallengeDeserializationError":    pki.Unauthenticated,
	"ChallengeDecryptionError":         pki.Unauthenticated,
	"ChallengeDecodingError":           pki.Unauthenticated,
	"ChallengeInvalidTimestamp":        pki.Unauthenticated,
	"ChallengeExpired":                 pki.Unauthenticated,
	"SignatureValidationFailed":        pki.Unauthenticated,
	"SigningCertThumbprintMismatch":    pki.Unauthenticated,

	"BadCertificateRequestIdInChallenge": pki.Unauthenticated,
	"BadDeviceIdInChallenge":             pki.Unauthenticated,
	"BadUserIdInChallenge":               pki.Unauthenticated,

	"SubjectNameMissing":                     pki.PolicyRefused,
	"SubjectNameMismatch":                    pki.PolicyRefused,
	"SubjectAltNameMissing":                  pki.PolicyRefused,
	"SubjectAltNameMismatch":                 pki.PolicyRefused,
	"KeyUsageMismatch":                       pki.PolicyRefused,
	"KeyLengthMismatch":                      pki.PolicyRefused,
	"EnhancedKeyUsageMissing":                pki.PolicyRefused,
	"EnhancedKeyUsageMismatch":               pki.PolicyRefused,
	"AadKeyIdentifierListMissing":            pki.PolicyRefused,
	"RegisteredKeyMismatch":                  pki.PolicyRefused,
	"ScepProfileNoLongerTargetedToTheClient": pki.PolicyRefused,
}

// judge is nil where a validator said yes, and says for the operator what it said else.
func (v *verdict) judge(name string) error {
	if v.Code == success {
		return nil
	}
	kind, known := kinds[v.Code]
	if !known {
		kind = pki.Unauthenticated
	}
	text := "the validator " + name + " says " + oneLine(v.Code, maxCode)
	if v.Description != "" {
		text += ": " + oneLine(v.Description, maxDescription)
	}
	return pki.Errorf(kind, "%s", text)
}

// The longest code and description of a validator that are shown, in bytes.
const (
	maxCode        = 60
	maxDescription = 255
)

// oneLine returns a text of somebody else's as one line of at most so many bytes.
func oneLine(text string, most int) string {
	text = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text), "?")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}
