package ceremony

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// The kinds of request.
const (
	KindCertificate = "certificate" // sign a CA certificate
	KindCRL         = "crl"         // sign a CRL of the root
	KindRoot        = "root"        // make the root that follows this one
)

// A Request is one file that asks the root for one act. ReadRequest and
// WriteRequest say how it stands in the file.
type Request struct {
	Kind string `json:"kind"` // KindCertificate, KindCRL or KindRoot
	Root string `json:"root"` // SHA-256 of the root's certificate, hex: no other root signs

	// Mode is what the server takes the root for: a root made for tests signs
	// nothing for production, nor the reverse.
	Mode pki.Mode `json:"mode"`

	// Made is when the server made the request, by its clock. The machine of the
	// ceremony has nothing else to compare its own with.
	Made time.Time `json:"made"`

	// The root's status names, for what it signs.
	RootIssuer pki.IssuerID `json:"root_issuer"`
	StatusURL  string       `json:"status_url"` // as policy.CheckStatusURL has it

	// Of a certificate and of a root.
	Issuer         pki.IssuerID `json:"issuer,omitzero"` // who the certificate is for
	ProfileTenant  pki.TenantID `json:"profile_tenant,omitzero"`
	ProfileVersion int          `json:"profile_version,omitzero"` // from 1
	Profile        string       `json:"profile,omitzero"`         // the whole document

	// Of a certificate. A root has the names of the one that it follows.
	CommonName   string `json:"common_name,omitzero"`
	Organization string `json:"organization,omitzero"`
	CSR          []byte `json:"csr,omitzero"` // DER, at most tbs.MaxCSR

	// Of a root.
	KeyKind pki.KeyKind `json:"key_kind,omitzero"` // one that the profile allows

	// Of a CRL.
	Number  int64        `json:"number,omitzero"` // above every earlier one
	Days    int          `json:"days,omitzero"`   // until the next update, 1 to 400; 0 is 365
	Entries []Revocation `json:"entries,omitzero"`
}

// A Revocation is one entry of a CRL that is asked for.
type Revocation struct {
	Serial string    `json:"serial"` // hexadecimal
	At     time.Time `json:"at"`     // not after the act
	Reason string    `json:"reason"` // name in RFC 5280, 5.3.1
}

// A Response is the answer to a Request, as a file.
type Response struct {
	Kind        string       `json:"kind"`
	Issuer      pki.IssuerID `json:"issuer,omitzero"`      // of a certificate and of a root
	Certificate []byte       `json:"certificate,omitzero"` // DER
	// ProfileVersion is the request's, for the certificate's record.
	ProfileVersion int          `json:"profile_version,omitzero"`
	NewWithOld     []byte       `json:"new_with_old,omitzero"` // of a root: its key under the root that it follows, DER
	OldWithNew     []byte       `json:"old_with_new,omitzero"` // of a root: the other way round
	RootIssuer     pki.IssuerID `json:"root_issuer,omitzero"`  // of a CRL
	CRL            []byte       `json:"crl,omitzero"`          // DER
}

// check checks what can be said of a request without the root: each field that
// the kind needs is there, and none of the other kind's.
func (r *Request) check() error {
	if b, err := hex.DecodeString(r.Root); err != nil || len(b) != 32 {
		return malformed("root is the SHA-256 of the root's certificate, 64 hexadecimal digits")
	}
	if r.Mode != pki.Production && r.Mode != pki.Test {
		return malformed("mode %.20q: it is %s or %s", r.Mode, pki.Production, pki.Test)
	}
	if err := pki.CheckSlug("ceremony request: root_issuer", string(r.RootIssuer)); err != nil {
		return err
	}
	if r.Made.IsZero() {
		return malformed("made is missing: the time at which the server made the request")
	}
	if err := policy.CheckStatusURL(r.StatusURL, r.Mode); err != nil {
		return fmt.Errorf("ceremony request: %w", err)
	}
	switch r.Kind {
	case KindCertificate:
		return r.checkCertificate()
	case KindCRL:
		return r.checkCRL()
	case KindRoot:
		return r.checkRoot()
	default:
		return malformed("kind %.20q: it is %s, %s or %s", r.Kind, KindCertificate, KindCRL, KindRoot)
	}
}

// checkIssuer checks what certificates and roots have in common.
func (r *Request) checkIssuer() error {
	if r.Number != 0 || r.Days != 0 || r.Entries != nil {
		return malformed("number, days and entries belong to a CRL, not to a %s", r.Kind)
	}
	if err := pki.CheckSlug("ceremony request: issuer", string(r.Issuer)); err != nil {
		return err
	}
	if err := pki.CheckSlug("ceremony request: profile_tenant", string(r.ProfileTenant)); err != nil {
		return err
	}
	switch {
	case r.ProfileVersion < 1:
		return malformed("profile_version is 1 or more")
	case r.Profile == "":
		return malformed("profile is missing: it holds the whole document")
	}
	return nil
}

func (r *Request) checkRoot() error {
	switch {
	case r.CommonName != "" || r.Organization != "" || r.CSR != nil:
		return malformed("names and csr belong to a certificate: a root has the names of the one that it follows, and its key is made in the ceremony")
	case r.KeyKind == "":
		return malformed("key_kind is missing")
	case r.Issuer == r.RootIssuer:
		return malformed("issuer is the root that is to be followed")
	}
	return r.checkIssuer()
}

func (r *Request) checkCertificate() error {
	if err := r.checkIssuer(); err != nil {
		return err
	}
	switch {
	case r.KeyKind != "":
		return malformed("key_kind belongs to a root: the key of a certificate is that of its csr")
	case r.CommonName == "":
		return malformed("common_name is missing")
	case len(r.CSR) == 0 || len(r.CSR) > tbs.MaxCSR:
		return malformed("csr is a request in DER, base64, of at most %d octets", tbs.MaxCSR)
	}
	return nil
}

// maxDays is the longest time from a CRL of the root to its next.
const maxDays = 400

func (r *Request) checkCRL() error {
	switch {
	case r.Issuer != "" || r.ProfileTenant != "" || r.ProfileVersion != 0 || r.Profile != "" ||
		r.CommonName != "" || r.Organization != "" || r.CSR != nil || r.KeyKind != "":
		return malformed("issuer, profile, names, csr and key_kind belong to a certificate or a root, not to a CRL")
	case r.Number < 1:
		return malformed("number is 1 or more")
	case r.Days < 0 || r.Days > maxDays:
		return malformed("days is 1 to %d", maxDays)
	}
	return nil
}

// How far the clock of the ceremony's machine may be from when a request was
// made. Media travel slowly and custodians have to meet, so a request is good for
// 90 days. A clock without network drifts and may be set to local time, so it may
// lag by a day. What is further off is a wrong clock: an act under one that is
// years ahead would stand in the journal, and no clock may go behind that again.
const (
	maxTravel = 90 * 24 * time.Hour
	maxLag    = 24 * time.Hour
)

// checkClock refuses, as Conflict, a clock that cannot be right where the request
// is.
func (r *Request) checkClock(now time.Time) error {
	switch {
	case now.Before(r.Made.Add(-maxLag)):
		return pki.Errorf(pki.Conflict, "this machine's clock says %s, and the request was made at %s: set the clock",
			now.Format(time.RFC3339), r.Made.UTC().Format(time.RFC3339))
	case now.After(r.Made.Add(maxTravel)):
		return pki.Errorf(pki.Conflict, "this machine's clock says %s, and the request was made at %s: set the clock, or make the request anew, since one is good for %d days",
			now.Format(time.RFC3339), r.Made.UTC().Format(time.RFC3339), maxTravel/(24*time.Hour))
	}
	return nil
}

// check checks that the response holds what its kind says and nothing else.
func (r *Response) check() error {
	certificate := r.Issuer != "" && len(r.Certificate) > 0 && r.ProfileVersion > 0
	links := len(r.NewWithOld) > 0 && len(r.OldWithNew) > 0
	noLinks := r.NewWithOld == nil && r.OldWithNew == nil
	noCRL := r.RootIssuer == "" && r.CRL == nil
	ok := false
	switch r.Kind {
	case KindCertificate:
		ok = certificate && noLinks && noCRL
	case KindRoot:
		ok = certificate && links && noCRL
	case KindCRL:
		ok = r.RootIssuer != "" && len(r.CRL) > 0 && noLinks && r.Issuer == "" && r.Certificate == nil && r.ProfileVersion == 0
	}
	if !ok {
		return pki.Errorf(pki.Malformed, "ceremony response: it holds either issuer, certificate and profile_version, with kind %s; these, new_with_old and old_with_new, with kind %s; or root_issuer and crl, with kind %s",
			KindCertificate, KindRoot, KindCRL)
	}
	return nil
}

func malformed(format string, args ...any) error {
	return pki.Errorf(pki.Malformed, "ceremony request: "+format, args...)
}
