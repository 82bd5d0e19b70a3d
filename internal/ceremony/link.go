package ceremony

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// Links are the certificates by which clients get from a root to the one that follows
// it, and back (RFC 9810, 4.4). The roots' own are OldWithOld and NewWithNew there.
type Links struct {
	Old, New   *tbs.Parsed // self-signed
	NewWithOld *tbs.Parsed // New's key, signed by Old's
	OldWithNew *tbs.Parsed // Old's key, signed by New's
}

// linkage are the extensions of a link that are its signer's; all others are those of
// the subject's own certificate.
var linkage = []string{der.OIDAuthorityKeyIdentifier, der.OIDCRLDistributionPoints}

// Check checks that the four certificates fit each other: two keys of one name, each of
// which signed the other's, and itself; validities as RFC 9810, 4.4.1 has them; and
// extensions as the roots have them. What does not fit is PolicyRefused.
func (l *Links) Check() error {
	if err := l.checkRoots(); err != nil {
		return err
	}
	if err := checkLink("NewWithOld", l.NewWithOld, l.New, l.Old); err != nil {
		return err
	}
	if err := checkLink("OldWithNew", l.OldWithNew, l.Old, l.New); err != nil {
		return err
	}
	switch {
	case !l.NewWithOld.NotBefore.Equal(l.New.NotBefore) || l.NewWithOld.NotAfter.After(l.Old.NotAfter) || l.NewWithOld.NotAfter.After(l.New.NotAfter):
		return misfit("NewWithOld is not valid from the new root's beginning to the old one's end at most")
	case !l.OldWithNew.NotBefore.Equal(l.Old.NotBefore) || !l.OldWithNew.NotAfter.Equal(l.Old.NotAfter):
		return misfit("OldWithNew is not valid exactly when the old root is")
	}
	return nil
}

func (l *Links) checkRoots() error {
	for _, r := range []struct {
		name string
		*tbs.Parsed
	}{{"old", l.Old}, {"new", l.New}} {
		if ca, _ := r.IsCA(); !ca {
			return misfit("the certificate of the %s root is not one of a CA", r.name)
		}
		if err := r.CheckSignedBy(r.Parsed); err != nil {
			return pki.Because(pki.PolicyRefused, err, "the certificate of the %s root is not self-signed", r.name)
		}
	}
	return follows(l.New, l.Old)
}

// follows checks that a root's certificate can follow another's, without a look at its
// signature.
func follows(next, old *tbs.Parsed) error {
	switch {
	case !bytes.Equal(next.Subject, old.Subject):
		return misfit("the new root is called %s, and the old one %s: a link between two names counts against the path length of the one who signs it, and one between two keys of one name does not (RFC 5280, 6.1.4)", nameOf(next), nameOf(old))
	case bytes.Equal(next.Key.SPKI(), old.Key.SPKI()):
		return misfit("the new root has the key of the old one")
	case !next.NotBefore.Before(old.NotAfter):
		return misfit("the new root is valid from %s, when the old one has ended", next.NotBefore.Format(time.RFC3339))
	case next.NotAfter.Before(old.NotAfter):
		return misfit("the new root ends at %s, before the old one; clients know the newest by its end (RFC 7030, 4.1.3)", next.NotAfter.Format(time.RFC3339))
	}
	return narrow(next, old)
}

// narrow refuses a root that would be good for more than the one that it follows: whoever
// takes the new root for the sake of the old one's signature trusts it without the old
// one's limits.
func narrow(next, old *tbs.Parsed) error {
	_, room := old.IsCA()
	if _, more := next.IsCA(); room >= 0 && (more < 0 || more > room) {
		return misfit("the new root has room for more authorities below it than the old one, whose path length is %d", room)
	}
	for _, limit := range []struct{ name, oid string }{{"name constraints", der.OIDNameConstraints}, {"extended key usage", der.OIDExtendedKeyUsage}} {
		has := old.Extension(limit.oid)
		if has == nil {
			continue
		}
		if same := next.Extension(limit.oid); same == nil || !bytes.Equal(same.Value, has.Value) {
			return misfit("the new root has not the old one's %s", limit.name)
		}
	}
	return nil
}

// checkLink checks a link that signer signed against the certificate that subject has of
// itself.
func checkLink(name string, link, subject, signer *tbs.Parsed) error {
	if err := link.CheckSignedBy(signer); err != nil {
		return pki.Because(pki.PolicyRefused, err, "%s is not signed by the root that it names", name)
	}
	own := func(p *tbs.Parsed) []tbs.Extension {
		return slices.DeleteFunc(slices.Clone(p.Extensions), func(e tbs.Extension) bool { return slices.Contains(linkage, e.OID) })
	}
	same := func(a, b tbs.Extension) bool {
		return a.OID == b.OID && a.Critical == b.Critical && bytes.Equal(a.Value, b.Value)
	}
	switch {
	case !bytes.Equal(link.Key.SPKI(), subject.Key.SPKI()):
		return misfit("%s is not for the key that it is to be for", name)
	case !bytes.Equal(link.Subject, subject.Subject):
		return misfit("%s is for %s, not for %s", name, nameOf(link), nameOf(subject))
	case link.Extension(der.OIDAuthorityKeyIdentifier) == nil:
		return misfit("%s does not say which of the keys of its name signed it", name)
	case !slices.EqualFunc(own(link), own(subject), same):
		return misfit("%s has other extensions than the root's own certificate", name)
	}
	return nil
}

func nameOf(p *tbs.Parsed) string {
	name, err := tbs.ParseName(p.Subject)
	if err != nil {
		return "what cannot be read"
	}
	return name.String()
}

func misfit(format string, args ...any) error { return pki.Errorf(pki.PolicyRefused, format, args...) }

// A linkPlan is one link to be signed.
type linkPlan struct {
	subject             *tbs.Parsed // whose key it is for, by its own certificate
	issuer              pki.IssuerID
	notBefore, notAfter time.Time
	request             *Request
	profile             *policy.Profile // of the new root, for what its lint leaves out
}

// link signs a link, or returns the one that the journal has for the request: a
// ceremony that was cut off goes on where it was.
func (r *root) link(ctx context.Context, j *journal, plan *linkPlan, now time.Time) (*tbs.Parsed, error) {
	hash := plan.request.hash()
	if signed := j.links[hash]; signed != nil {
		return tbs.ParseCertificate(signed)
	}
	message, err := r.linkTBS(plan, now)
	if err != nil {
		return nil, err
	}
	if err := plan.profile.LintUnsigned(message, r.certificate.Key.SignatureAlgorithm()); err != nil {
		return nil, err
	}
	intent, err := certificateIntent(actLink, r.mode, message, now)
	if err != nil {
		return nil, err
	}
	intent.Request = hash
	signed, err := r.act(ctx, j, intent, func(signed []byte) error {
		c, err := tbs.ParseCertificate(signed)
		if err != nil {
			return err
		}
		return checkLink("the link", c, plan.subject, r.certificate)
	})
	if err != nil {
		return nil, err
	}
	return tbs.ParseCertificate(signed)
}

// linkTBS returns the TBSCertificate of a link: what the subject's own certificate says,
// with the signer's key identifier and place of its CRL.
func (r *root) linkTBS(plan *linkPlan, now time.Time) ([]byte, error) {
	var parts []tbs.ExtensionPart
	for _, e := range plan.subject.Extensions {
		if slices.Contains(linkage, e.OID) {
			continue
		}
		whole, err := tbs.RawExtension(e.OID, e.Critical, e.Value)
		if err != nil {
			return nil, fmt.Errorf("encode link: %w", err)
		}
		parts = append(parts, tbs.ExtensionPart{Slot: tbs.Constant, DER: whole})
	}
	parts = append(parts, tbs.ExtensionPart{Slot: tbs.Constant, DER: tbs.AuthorityKeyID(r.certificate.SubjectKeyID())})
	config := tbs.TemplateConfig{IssuerName: r.certificate.Subject, Algorithm: r.certificate.Key.SignatureAlgorithm()}
	if base := plan.request.StatusURL; base != "" {
		parts = append(parts, tbs.ExtensionPart{Slot: tbs.SlotCRLDP})
		config.CRLDP = []string{fmt.Sprintf("%s/crl/%s/0.crl", base, plan.issuer)}
	}
	config.Parts = parts
	template, err := tbs.NewTemplate(config)
	if err != nil {
		return nil, fmt.Errorf("encode link: %w", err)
	}
	return template.Append(nil, &tbs.Content{
		Serial:    pki.NewSerial(pki.ClassOf(plan.notBefore, plan.notAfter), now),
		NotBefore: plan.notBefore, NotAfter: plan.notAfter,
		Subject: plan.subject.Subject, Key: plan.subject.Key,
	})
}
