package policy

import (
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// usages are the key usages by their names in RFC 5280, 4.2.1.3.
var usages = map[string]tbs.KeyUsage{
	"digitalSignature":  tbs.DigitalSignature,
	"contentCommitment": tbs.ContentCommitment,
	"keyEncipherment":   tbs.KeyEncipherment,
	"dataEncipherment":  tbs.DataEncipherment,
	"keyAgreement":      tbs.KeyAgreement,
	"keyCertSign":       tbs.KeyCertSign,
	"cRLSign":           tbs.CRLSign,
	"encipherOnly":      tbs.EncipherOnly,
	"decipherOnly":      tbs.DecipherOnly,
}

// purposes are the extended key usages with a name. anyExtendedKeyUsage is not
// among them: a certificate for any purpose is one that nobody decided on.
var purposes = map[string]string{
	"serverAuth":  der.OIDServerAuth,
	"clientAuth":  der.OIDClientAuth,
	"codeSigning": der.OIDCodeSigning,
	"OCSPSigning": der.OIDOCSPSigning,
}

const oidAnyExtendedKeyUsage = "2.5.29.37.0"

func compileUsage(words []word) (tbs.KeyUsage, error) {
	var usage tbs.KeyUsage
	for _, w := range words {
		bit, ok := usages[w.text]
		if !ok {
			return 0, at(w.token, "a key usage is digitalSignature, contentCommitment, keyEncipherment, dataEncipherment, keyAgreement, keyCertSign, cRLSign, encipherOnly or decipherOnly")
		}
		if usage&bit != 0 {
			return 0, at(w.token, "this is said twice")
		}
		usage |= bit
	}
	return usage, nil
}

// compilePurposes returns the OIDs of extended key usages.
func compilePurposes(words []word) ([]string, error) {
	translated := make([]word, len(words))
	for i, w := range words {
		if oid, ok := purposes[w.text]; ok {
			w.text = oid
		}
		if w.text == oidAnyExtendedKeyUsage {
			return nil, at(w.token, "anyExtendedKeyUsage has no place in a profile")
		}
		translated[i] = w
	}
	oids, err := compileOIDs(translated, "an extended key usage is serverAuth, clientAuth, codeSigning, OCSPSigning or an OID")
	if err == nil && len(oids) == 0 {
		return nil, pki.Errorf(pki.Malformed, "extendedKeyUsage: use names at least one")
	}
	return oids, err
}

// compileOIDs returns the words, each an OID and none twice.
func compileOIDs(words []word, want string) ([]string, error) {
	var oids []string
	seen := make(map[string]bool)
	for _, w := range words {
		if _, err := der.AppendOID(nil, w.text); err != nil {
			return nil, at(w.token, want)
		}
		if seen[w.text] {
			return nil, at(w.token, "this is said twice")
		}
		seen[w.text] = true
		oids = append(oids, w.text)
	}
	return oids, nil
}

// misfit returns the usages that a key of the kind cannot serve. RSA does not
// agree on keys (RFC 3279, 2.3.1), EC does not encipher (RFC 5480, 3, and
// RFC 8813, 3), Ed25519, ML-DSA and SLH-DSA only sign (RFC 8410, 5; RFC 9881, 5;
// RFC 9909, 5).
func misfit(kind pki.KeyKind, usage tbs.KeyUsage) tbs.KeyUsage {
	switch {
	case isRSA(kind):
		return usage & (tbs.KeyAgreement | tbs.EncipherOnly | tbs.DecipherOnly)
	case kind == pki.Ed25519, isPostQuantum(kind):
		return usage & (tbs.KeyEncipherment | tbs.DataEncipherment | tbs.KeyAgreement | tbs.EncipherOnly | tbs.DecipherOnly)
	default:
		return usage & (tbs.KeyEncipherment | tbs.DataEncipherment)
	}
}

// isPostQuantum reports whether kind is ML-DSA or SLH-DSA.
func isPostQuantum(kind pki.KeyKind) bool {
	switch kind {
	case pki.MLDSA44, pki.MLDSA65, pki.MLDSA87, pki.SLHDSA:
		return true
	}
	return false
}
