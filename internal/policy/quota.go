package policy

import (
	"regexp"
	"strconv"

	"github.com/pando-pki/pando/internal/pki"
)

// maxQuota is the highest quota there is, as quota.MaxLimit has it.
const maxQuota = 1_000_000_000_000

var quotaText = regexp.MustCompile(`^[1-9][0-9]{0,12}$`)

// compileQuota reads how many certificates of the profile its tenant may have.
func (p *Profile) compileQuota(doc *document) (err error) {
	w := doc.Quota
	if w.text == "" {
		return nil
	}
	if quotaText.MatchString(w.text) {
		p.quota, err = strconv.ParseInt(w.text, 10, 64)
	}
	switch {
	case err != nil || p.quota < 1 || p.quota > maxQuota:
		return at(w.token, "a quota is a number of certificates, from 1 to "+strconv.Itoa(maxQuota))
	case p.ca || p.SignsOCSP():
		return pki.Errorf(pki.Malformed, "quota: certificates of authorities and of OCSP responders do not count against quotas")
	}
	return nil
}

// Quota returns how many certificates of the profile, in all its versions, the tenant
// that publishes it may have from then on; 0 where the document does not say.
func (p *Profile) Quota() int64 { return p.quota }

// quota compares how many certificates there may be. One that does not say sets no
// quota, and ends none.
func (d *differ) quota(before, after int64) {
	text := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	switch {
	case before == after:
	case after == 0 || before != 0 && before < after:
		d.add("quota", text(before), text(after), Widens)
	default:
		d.add("quota", text(before), text(after), Narrows)
	}
}
