package policy

import (
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/tbs"
)

// Relint checks a certificate that was issued under the profile version by the
// issuer: what Lint checks before the signature, as far as it can be told without the
// request, and the key as one would be checked today. It has zlint read the
// certificate itself, whatever its shape. Of subject, names and values that vary it
// tells whether the version could have made them: see couldHave.
func (b *Bound) Relint(certificate []byte) error {
	parsed, err := tbs.ParseCertificate(certificate)
	if err != nil {
		return err
	}
	if err := b.profile.keys.check(parsed.Key); err != nil {
		return err
	}
	c := b.contentOf(parsed)
	if b.profile.sanRequired && c.SAN == nil {
		return errors.New("it has no subject alternative name, which the profile demands")
	}
	for _, check := range [...]func(*tbs.Parsed, *tbs.Content) error{b.lintFields, b.lintExtensions, b.lintUsage, b.couldHave} {
		if err := check(parsed, c); err != nil {
			return fmt.Errorf("profile %s: %w", b.profile.name, err)
		}
	}
	return Failure(b.profile.Zlint(certificate))
}

// contentOf returns what the certificate must have been made of: what varies is
// taken from it, what the profile says is not.
func (b *Bound) contentOf(p *tbs.Parsed) *tbs.Content {
	value := func(oid string) []byte {
		for _, e := range p.Extensions {
			if e.OID == oid {
				return e.Value
			}
		}
		return nil
	}
	c := &tbs.Content{
		Serial: p.Serial, NotBefore: p.NotBefore, NotAfter: p.NotAfter, Subject: p.Subject, Key: p.Key,
		KeyUsage: b.profile.usageFor(p.Key.Kind()),
	}
	for i := range b.wants {
		switch w := &b.wants[i]; w.slot {
		case tbs.SlotSAN:
			c.SAN = value(w.oid)
		case tbs.SlotValue:
			c.Values = append(c.Values, value(w.oid))
		}
	}
	return c
}
