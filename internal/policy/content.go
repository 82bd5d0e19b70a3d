package policy

import (
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// emptyName is the DER of a Name without RDNs.
const emptyName = "\x30\x00"

// Content decides what goes into the certificate, all but the serial, or refuses:
// BadKey for a key that is weak or not allowed, PolicyRefused for all else. The
// caller has checked the proof of possession, the block list of keys and that
// the requester may ask at all.
func (b *Bound) Content(in *Input) (*tbs.Content, error) {
	p := b.profile
	key := in.CSR.Key
	if err := p.keys.check(key); err != nil {
		return nil, err
	}
	if err := p.obey(in); err != nil {
		return nil, err
	}
	notBefore, notAfter, err := p.window.at(in.Now, b.issuer.NotBefore, b.issuer.NotAfter)
	if err != nil {
		return nil, err
	}
	subject, err := p.Subject(in)
	if err != nil {
		return nil, err
	}
	names, san, err := p.sanOf(in)
	if err != nil {
		return nil, err
	}
	if san == nil && string(subject) == emptyName {
		return nil, pki.Errorf(pki.PolicyRefused, "the request gives neither a subject nor a subject alternative name that the profile takes")
	}
	if err := b.checkNames(subject, san); err != nil {
		return nil, err
	}
	c := &tbs.Content{
		NotBefore: notBefore,
		NotAfter:  notAfter,
		Subject:   subject,
		Key:       key,
		SAN:       san,
		KeyUsage:  p.usageFor(key.Kind()),
	}
	if p.shortKeyID {
		c.KeyID = p.KeyID(key)
	}
	if c.Values, err = p.values(in); err != nil {
		return nil, err
	}
	if p.strict {
		if err := b.checkNothingDropped(in.CSR, c, names); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// checkNames refuses, as PolicyRefused, what the issuer may not name.
func (b *Bound) checkNames(subject, san []byte) error {
	if err := b.checkConstraints(subject, san); err != nil || b.vendor == nil {
		return err
	}
	name, err := tbs.ParseName(subject)
	if err != nil {
		return err
	}
	return b.checkMatter(name, func(string) bool { return false })
}

// values returns the values of the extensions that vary, nil for one whose
// optional values are absent.
func (p *Profile) values(in *Input) ([][]byte, error) {
	var values [][]byte
	for i := range p.others {
		e := &p.others[i]
		if e.value.constant != nil {
			continue
		}
		value, err := e.value.append(nil, in)
		if err != nil {
			return nil, pki.Because(pki.PolicyRefused, err, "extension %s: %s", e.oid, pki.DetailOf(err))
		}
		values = append(values, value)
	}
	return values, nil
}

// maxCertificate is the size of the largest TBSCertificate, in bytes.
const maxCertificate = 64 << 10

// Append appends the DER TBSCertificate of c, which has its serial by now. One that
// is larger than 64 KiB is PolicyRefused.
func (b *Bound) Append(dst []byte, c *tbs.Content) ([]byte, error) {
	encoded, err := b.template.Append(dst, c)
	if err == nil && len(encoded)-len(dst) > maxCertificate {
		return nil, pki.Errorf(pki.PolicyRefused, "the certificate would have %d bytes; it has at most %d", len(encoded)-len(dst), maxCertificate)
	}
	return encoded, err
}
