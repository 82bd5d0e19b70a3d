package pki

import "strings"

// Proofs are ways to prove who asks, as a set. The zero Proofs is none.
type Proofs uint8

// The ways to prove who asks.
const (
	ByCertificate Proofs = 1 << iota // a certificate whose key the client was shown to hold
	BySecret                         // an enrolment secret: a password, or a challenge
	ByToken                          // an API token
)

var proofNames = [...]string{"certificate", "secret", "token"}

// Has reports whether all of need are there.
func (p Proofs) Has(need Proofs) bool { return p&need == need }

// String returns the ways joined by "+", as in "certificate+secret".
func (p Proofs) String() string {
	var names []string
	for i, name := range proofNames {
		if p.Has(1 << i) {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

// ParseProofs reads what String returns, the ways in any order.
func ParseProofs(text string) (Proofs, error) {
	var all Proofs
	for part := range strings.SplitSeq(text, "+") {
		var one Proofs
		for i, name := range proofNames {
			if part == name {
				one = 1 << i
			}
		}
		if one == 0 || all.Has(one) {
			return 0, Errorf(Malformed, "proof %.60q: write certificate, secret or token, or several that are needed together, each once, as secret+certificate", text)
		}
		all |= one
	}
	return all, nil
}

// MarshalText returns what String returns.
func (p Proofs) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is ParseProofs.
func (p *Proofs) UnmarshalText(text []byte) (err error) {
	*p, err = ParseProofs(string(text))
	return err
}

// ProofsText returns alternatives for people, as "token, or certificate+secret".
func ProofsText(all []Proofs) string {
	texts := make([]string, len(all))
	for i, p := range all {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", or ")
}
