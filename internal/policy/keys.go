package policy

import (
	"crypto/rsa"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A keyRule says which keys a profile allows.
type keyRule struct {
	kinds   []pki.KeyKind // in the order of the document; an RSA range is its usual sizes
	minRSA  int           // bits of "rsaN+": every modulus from here to 4096 bits; 0 for none
	written string        // for refusals
}

func compileKeys(words []word) (keyRule, error) {
	var rule keyRule
	texts := make([]string, 0, len(words))
	for _, w := range words {
		least, isRange := strings.CutSuffix(w.text, "+")
		kind, err := pki.ParseKeyKind(least)
		if err != nil || isRange && rsaBits(kind) == 0 {
			return rule, at(w.token, `a key kind is p256, p384, p521, ed25519, rsa2048, rsa3072, rsa4096, each also with -pss for authorities and responders, mldsa44, mldsa65, mldsa87 or slhdsa-sha2-128s; "rsa2048+" is a range up to 4096 bits`)
		}
		kinds := []pki.KeyKind{kind}
		if isRange {
			rule.minRSA = rsaBits(kind)
			kinds = slices.DeleteFunc(pki.KeyKinds(), func(k pki.KeyKind) bool { return rsaBits(k) < rule.minRSA })
		}
		for _, k := range kinds {
			if slices.Contains(rule.kinds, k) {
				return rule, at(w.token, "this is said twice")
			}
			rule.kinds = append(rule.kinds, k)
		}
		texts = append(texts, w.text)
	}
	if len(rule.kinds) == 0 {
		return rule, pki.Errorf(pki.Malformed, "keys: allow names at least one kind of key")
	}
	rule.written = strings.Join(texts, ", ")
	return rule, nil
}

// pssSuffix ends the kinds of RSA keys that sign by PSS alone.
const pssSuffix = "-pss"

// rsaBits returns the size of an RSA kind, and 0 for any other.
func rsaBits(kind pki.KeyKind) int {
	switch kind {
	case pki.RSA2048:
		return 2048
	case pki.RSA3072:
		return 3072
	case pki.RSA4096:
		return 4096
	}
	return 0
}

// check refuses, as BadKey, a key that the profile does not allow or that is weak.
func (r *keyRule) check(key tbs.PublicKey) error {
	kind := key.Kind()
	// How an RSA key signs its request's certificate will not say.
	allowed := slices.Contains(r.kinds, kind) || slices.Contains(r.kinds, kind+pssSuffix)
	if pub, ok := key.Crypto().(*rsa.PublicKey); ok && r.minRSA > 0 {
		allowed = allowed || pub.N.BitLen() >= r.minRSA // CheckKey knows the upper end
	}
	if !allowed {
		return pki.Errorf(pki.BadKey, "a key of kind %s is not allowed; the profile allows %s", kind, r.written)
	}
	return CheckKey(key)
}

// isRSA reports whether kind is RSA of any size.
func isRSA(kind pki.KeyKind) bool { return strings.HasPrefix(string(kind), "rsa") }
